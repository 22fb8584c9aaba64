// gaussian_pairs: distances and log-determinants of pairs; contract in kernels/gaussian_pairs.
#pragma once

#include <cstdint>

#include "common/isa.h"

namespace tk {

struct GaussianPairsArgs {
    const double* means;        // (n_classes, size)
    const double* covariances;  // (n_classes, size, size), or (n_classes, size) where diagonal
    bool diagonal;
    int64_t n_classes, size;
    double pivot_eps, smallest_variance;
    int n_threads;
    double* distances;  // (n_classes, n_classes)
    double* logdets;    // (n_classes, n_classes)
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(gaussian_pairs, GaussianPairsArgs)

}  // namespace tk
