// PARC's rank correlation between pairwise feature distances and labels: see kernels/parc_correlation.
#pragma once

#include <cstdint>

#include "array_view.h"
#include "isa.h"

namespace tk {

struct ParcArgs {
    MatrixView x;
    const int64_t* codes;  // class of each row
    int64_t same_pairs;    // pairs within a class
    int n_threads;
    // What the caller may tune, and tests do.
    int64_t sort_limit;  // up to so many pairs are sorted outright
    double tolerance;    // error bound beyond which bins are counted again at a finer resolution
    // Results.
    double* correlation;  // NaN where all feature distances or all labels agree
    double* error_bound;  // see pair_histogram.h; 0 where the result is exact
};

TK_DECLARE_KERNEL(parc_correlation, ParcArgs)

struct ParcVectorsArgs {
    MatrixView x;
    // Label distances by table: kind of each row, and for each pair of kinds twice the rank of its
    // label distance less the mean. Null where the label vectors themselves are given.
    const int64_t* kinds;
    const int64_t* weights;  // n_kinds x n_kinds
    int64_t n_kinds;
    double weight_squares;   // sum over the pairs of rows
    MatrixView labels;       // label vectors, where there is no table
    double label_magnitude;  // their largest absolute value, not zero
    int n_threads;
    double* correlation;  // NaN where all feature or all label distances agree
};

TK_DECLARE_KERNEL(parc_correlation_vectors, ParcVectorsArgs)

}  // namespace tk
