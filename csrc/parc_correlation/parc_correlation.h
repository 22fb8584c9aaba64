// PARC's rank correlation between pairwise feature distances and labels: see kernels/parc_correlation.
#pragma once

#include <cstdint>

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct ParcArgs {
    MatrixView x;
    const int64_t* codes;  // class of each row
    const int64_t* order;  // the rows, class by class
    int64_t same_pairs;    // pairs within a class
    int n_threads;
    // What the caller may tune, and tests do.
    int64_t sort_limit;    // up to so many pairs are sorted outright, or looked up
    double lookup_share;   // the latter where no more of the pairs than this are within a class
    double tolerance;      // error beyond which look-ups give way to sorting, bins to finer ones
    int64_t narrow_limit;  // up to so many pairs are counted in 32 bits, where these can hold them
    // Results.
    double* correlation;  // NaN where all feature distances or all labels agree
    double* error;        // proven or estimated, see kernels/parc_correlation; 0 where exact
};

TK_DECLARE_KERNEL(parc_correlation, ParcArgs)

struct ParcVectorsArgs {
    MatrixView x;
    MatrixView labels;       // label vectors, as many rows
    double label_magnitude;  // their largest absolute value, not zero
    int n_threads;
    int64_t sort_limit;    // up to so many pairs are sorted outright
    double tolerance;      // error beyond which bins are counted again, finer
    int64_t narrow_limit;  // as above
    double* correlation;   // NaN where all feature or all label distances agree
    double* error;         // estimated; 0 where exact
};

TK_DECLARE_KERNEL(parc_correlation_vectors, ParcVectorsArgs)

}  // namespace tk
