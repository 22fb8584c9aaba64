// principal_axes: leading eigenpairs of a Gram matrix; contract in kernels/principal_axes.
#pragma once

#include <cstdint>

#include "common/isa.h"

namespace tk {

struct PrincipalAxesArgs {
    const double* gram;  // (size, size), upper triangle of rows
    int64_t size;
    // Either: how many pairs; or, if that is 0, as few as sum to more than `wanted`.
    int64_t n_axes;
    double wanted;
    int64_t most;  // pairs where that is sought
    int n_threads;

    int64_t* n_found;  // 0 where `most` are not enough
    double* values;    // (size,) the first n_found, descending, to rounding of the largest
    double* vectors;   // (size, size) a vector a row, the first n_found, nearly orthogonal
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(principal_axes, PrincipalAxesArgs)

}  // namespace tk
