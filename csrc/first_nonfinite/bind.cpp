// Python binding of first_nonfinite.
#include "common/bindings.h"
#include "first_nonfinite.h"

namespace tk {

namespace {

py::object call(const py::array& X, const std::string& isa, int n_threads) {
    int64_t row = -1, column = -1;
    FirstNonfiniteArgs args{matrix_view(X), n_threads, &row, &column};
    if (n_threads < 1) throw py::value_error("n_threads must be positive");
    const Isa chosen = parse_isa(isa);
    without_gil([&] { first_nonfinite(chosen, args); });
    if (row < 0) return py::none();
    return py::make_tuple(row, column);
}

}  // namespace

static const Binding binding([](py::module_& module) {
    module.def("first_nonfinite", &call, py::arg("X"), py::kw_only(), py::arg("isa"),
               py::arg("n_threads"),
               "(row, column) of the first NaN or infinity in row-major order, or None.");
});

}  // namespace tk
