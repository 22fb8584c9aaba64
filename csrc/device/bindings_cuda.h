// What the Python bindings of the CUDA kernels share: addresses come as integers.
#pragma once

#include <pybind11/pybind11.h>

#include "common/binding.h"
#include "device_matrix.h"

namespace tk {

namespace py = pybind11;

// tensor.data_ptr(), or 0 for none; a stream's handle likewise.
using Address = uintptr_t;

template <class T>
T* pointer(Address address) {
    return reinterpret_cast<T*>(address);
}

// From (data_ptr, element type, rows, columns, row stride, column stride), which
// kernels/cuda_runtime.py makes of a tensor; throws py::value_error when it cannot be a matrix.
DeviceMatrix device_matrix(const py::tuple& description);

}  // namespace tk
