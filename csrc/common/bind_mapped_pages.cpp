// Python binding of mapped_pages.
#include "bindings.h"
#include "mapped_pages.h"

namespace tk {

static const Binding binding([](py::module_& module) {
    module.def("watch_pages", &watch_pages, py::arg("begin"), py::arg("n_bytes"),
               "Watch mapped bytes from an address on; returns a number for the other two.");
    module.def("pages_replaced", &pages_replaced, py::arg("watch"),
               "Whether pages there were gone when they were read, and read as zeros.");
    module.def("unwatch_pages", &unwatch_pages, py::arg("watch"), "Watch them no longer.");
});

}  // namespace tk
