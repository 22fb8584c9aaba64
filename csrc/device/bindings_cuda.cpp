// The Python modules `_cuda` and `_cuda_on_host`: csrc/<op>/bind_cuda.cpp of every op.
#include "bindings_cuda.h"

#include <pybind11/stl.h>

#include "cuda_devices.h"

namespace tk {

DeviceMatrix device_matrix(const py::tuple& description) {
    if (description.size() != 6) throw py::value_error("expected the six numbers of a matrix");
    DeviceMatrix matrix{};
    matrix.data = pointer<const void>(description[0].cast<Address>());
    const int type = description[1].cast<int>();
    matrix.type = static_cast<ElementType>(type);
    matrix.rows = description[2].cast<int64_t>();
    matrix.cols = description[3].cast<int64_t>();
    matrix.row_stride = description[4].cast<int64_t>();
    matrix.col_stride = description[5].cast<int64_t>();
    if (type < 0 || type > static_cast<int>(ElementType::float64))
        throw py::value_error("unknown element type");
    if (!matrix.data || matrix.rows < 1 || matrix.cols < 1)
        throw py::value_error("the matrix must not be empty");
    return matrix;
}

}  // namespace tk

// setup.py says which of the two this is.
PYBIND11_MODULE(TK_MODULE, module) {
    module.doc() = "CUDA kernels of transfer_kernels; use them through transfer_kernels.ops.";
    module.def(
        "device_problem",
        []() -> std::optional<std::string> {
            const std::string problem = tk::device_problem();
            if (problem.empty()) return std::nullopt;
            return problem;
        },
        "Why no kernel can run on the current device, or None.");
    module.def("device_count", &tk::device_count, "Number of CUDA devices; 0 without a driver.");
    module.def("multiprocessor_count", &tk::multiprocessor_count,
               "Streaming multiprocessors of the current device.");
    module.def("shared_memory_per_block", &tk::shared_memory_per_block,
               "Bytes of shared memory that a block of the current device may have.");
    tk::Binding::add_all(module);
}
