// softmax_regression: loss, gradient and curvature of a linear softmax classifier; contract in
// kernels/softmax_regression.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct SoftmaxRegressionArgs {
    MatrixView X;             // (n, d), not empty
    const int64_t* codes;     // (n), each in [0, n_classes)
    const double* coef;       // (n_classes, d)
    const double* intercept;  // (n_classes)
    const double* shift;      // (d), subtracted from every row
    int64_t n_classes;
    int n_threads;
    double* losses;        // (n): of each sample
    double* by_coef;       // (n_classes, d)
    double* by_intercept;  // (n_classes)
    double* curvatures;    // (n): of each sample
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(softmax_regression, SoftmaxRegressionArgs)

}  // namespace tk
