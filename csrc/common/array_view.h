// Read-only view of a caller's array: any strides, in the types that features come in.
#pragma once

#include <cstdint>

namespace tk {

enum class Dtype : int { float16 = 0, float32 = 1, float64 = 2 };

struct MatrixView {
    const void* data;
    Dtype dtype;
    int64_t rows, cols;
    int64_t row_stride, col_stride;  // in elements; zero and negative strides are allowed
};

}  // namespace tk
