// Element types of a DeviceMatrix: from the run-time tag to the kernels' template argument.
#pragma once

#include <stdexcept>

#include "device.cuh"
#include "device_matrix.h"

namespace tk {

// Calls visit(pointer to the first element), with the pointer's type telling the elements'.
template <class Visit>
void with_elements(const DeviceMatrix& matrix, Visit visit) {
    switch (matrix.type) {
        case ElementType::float16: return visit(static_cast<const Half*>(matrix.data));
        case ElementType::bfloat16: return visit(static_cast<const BFloat16*>(matrix.data));
        case ElementType::float32: return visit(static_cast<const float*>(matrix.data));
        case ElementType::float64: return visit(static_cast<const double*>(matrix.data));
    }
    throw std::invalid_argument("unknown element type");
}

}  // namespace tk
