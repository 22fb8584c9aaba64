// Python binding of the checks of the device's language; for tests.
#include <pybind11/stl.h>

#include "device/bindings_cuda.h"
#include "device_check_cuda.h"

namespace tk {

static const Binding binding([](py::module_& module) {
    module.def(
        "check_product",
        [](Address a, Address b, Address c, bool small, Address stream) {
            check_product(pointer<const double>(a), pointer<const double>(b), pointer<double>(c),
                          small, pointer<void>(stream));
        },
        "c += a b on the tensor cores: (16, 8) (8, 8), or small (8, 4) (4, 8).");
    module.def(
        "check_warp_functions",
        [](Address values, Address out, Address stream) {
            check_warp_functions(pointer<const int64_t>(values), pointer<int64_t>(out),
                                 pointer<void>(stream));
        },
        "Results of a warp's functions on 32 values, a row for each function.");
    module.def(
        "check_halves",
        [](Address halves, Address bfloats, Address stream) {
            check_halves(pointer<double>(halves), pointer<double>(bfloats), pointer<void>(stream));
        },
        "All halves and bfloat16 as doubles.");
    module.def(
        "check_atomics",
        [](int64_t n_blocks, Address in_blocks, Address total, Address stream) {
            check_atomics(n_blocks, pointer<unsigned>(in_blocks),
                          pointer<unsigned long long>(total), pointer<void>(stream));
        },
        "Number of threads in each block and in all, counted by the threads.");
    module.def("check_schedule", &check_schedule, py::arg("side"), py::arg("steps"),
               py::arg("most_blocks"), py::arg("least_steps"), py::arg("block"),
               "The jobs of a block: tile row and column, first and last step, slot or -1.");
#if defined(TK_ON_HOST)
    py::enum_<Mistake>(module, "Mistake")
        .value("missed_barrier", Mistake::missed_barrier)
        .value("two_barriers", Mistake::two_barriers)
        .value("missed_lanes", Mistake::missed_lanes)
        .value("returned_lanes", Mistake::returned_lanes)
        .value("foreign_lane", Mistake::foreign_lane)
        .value("race", Mistake::race)
        .value("never_written", Mistake::never_written)
        .value("too_much_memory", Mistake::too_much_memory);
    module.def(
        "make_mistake",
        [](Mistake mistake, Address out) { make_mistake(mistake, pointer<double>(out)); },
        "Run a kernel that breaks the rules.");
#endif
});

}  // namespace tk
