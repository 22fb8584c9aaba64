// A caller's matrix on the device, any strides, in the types that features come in; no CUDA here.
#pragma once

#include <cstdint>

namespace tk {

// In this order kernels/cuda_runtime.py counts them.
enum class ElementType : int { float16 = 0, bfloat16 = 1, float32 = 2, float64 = 3 };

struct DeviceMatrix {
    const void* data;
    ElementType type;
    int64_t rows, cols;
    int64_t row_stride, col_stride;  // in elements; zero is allowed, and any sign
};

}  // namespace tk
