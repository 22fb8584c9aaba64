// source_posteriors: sums of posteriors by class; contract in kernels/source_posteriors.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

// Dense rows, or CSR rows where `indptr` is not null; then `data` holds the entries.
struct PosteriorRows {
    const void* data;
    Dtype dtype;
    int64_t rows, cols;
    int64_t row_stride, col_stride;
    const int64_t* indices;
    const int64_t* indptr;  // (rows + 1)
};

struct SourcePosteriorsArgs {
    PosteriorRows theta;
    const int64_t* order;   // (n) samples sorted by class
    const int64_t* pieces;  // (n_pieces, 3) class, start and end of runs of that order
    int64_t n_pieces, n_classes;
    const double* table;  // (C, Z); null for class_sums
    double floor;
    int n_threads;
    double* sums;      // (C, Z)
    double* totals;    // class_sums: (n)
    double* lowest;    // class_sums: (n)
    double* values;    // own_class: (n)
    double* log_norm;  // tilted_sums: (1)
};

// Throw std::bad_alloc.
TK_DECLARE_KERNEL(class_sums, SourcePosteriorsArgs)
TK_DECLARE_KERNEL(own_class, SourcePosteriorsArgs)
TK_DECLARE_KERNEL(tilted_sums, SourcePosteriorsArgs)

}  // namespace tk
