// class_scatter: variances of the features within each class; contract in kernels/class_scatter.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct ClassVariancesArgs {
    MatrixView X;           // (n, d), not empty
    const int64_t* order;   // (n) samples, class after class
    const int64_t* starts;  // (n_classes + 1) where each class starts in them
    int64_t n_classes;
    int n_threads;
    double* variances;  // (n_classes, d)
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(class_variances, ClassVariancesArgs)

}  // namespace tk
