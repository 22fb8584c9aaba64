// fisher_scatter: class sums and second moment of the features; contract in kernels/fisher_scatter.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct FisherScatterArgs {
    MatrixView X;           // (n, d), not empty
    const int64_t* codes;   // (n), each in [0, n_classes)
    const double* weights;  // (n), or null: all one
    const double* shift;    // (d)
    int64_t n_classes;
    int n_threads;
    double* gram;       // (d, d): its upper triangle is set
    double* sums;       // (n_classes, d)
    double* root_sums;  // (n_classes, d), only with weights
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(fisher_scatter, FisherScatterArgs)

}  // namespace tk
