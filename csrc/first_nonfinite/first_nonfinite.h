// first_nonfinite: where the first NaN or infinity stands; contract in kernels/first_nonfinite.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct FirstNonfiniteArgs {
    MatrixView X;
    int n_threads;
    int64_t* row;  // -1 where all are finite
    int64_t* column;
};

// Needs no memory.
TK_DECLARE_KERNEL(first_nonfinite, FirstNonfiniteArgs)

}  // namespace tk
