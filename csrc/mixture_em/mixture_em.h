// mixture_em: which components may matter to which samples; contract in kernels/mixture_em.
#pragma once

#include <cstdint>

#include "common/isa.h"

namespace tk {

struct MixtureSurvivorsArgs {
    const double* leading;    // (q, n) leading coordinates of the samples
    const double* means;      // (K, q)
    const double* corners;    // (K, q, q) lower triangular, positive diagonals
    const double* constants;  // (K)
    const double* floors;     // (n)
    double trusted;           // share of a lower bound of a squared distance that counts
    int64_t n, q, n_components;
    int n_threads;
    bool* found;  // (K, n) whether constant - distance^2 / 2 may exceed the sample's floor
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(mixture_survivors, MixtureSurvivorsArgs)

}  // namespace tk
