// nearest_neighbors: the k nearest rows of every row; contract in kernels/nearest_neighbors.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

// Rows scales[i] * rows[i], entries up to one.
struct ScaledRows {
    MatrixView rows;
    const double* scales;
};

struct NearestNeighborsArgs {
    ScaledRows queries;    // (n, d), not empty
    ScaledRows others;     // (m, d), not empty: where neighbours are looked for
    bool oneself;          // both are the same, and a row is not its own neighbour
    const double* origin;  // (d), amid the rows
    double product_error;  // of a product in float32, by the norms of its rows
    double rounding;       // of a product of two float32 numbers
    double floor;          // of a row less the origin
    double tiny;           // of a product that underflows
    double resolution;     // squared distances are multiples of it; 0: they are not rounded
    int64_t k, kept;       // k <= kept <= rows that may be neighbours
    int n_threads;
    int64_t* indices;  // (n, k)
    double* squares;   // (n, k): squared distances
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(nearest_neighbors, NearestNeighborsArgs)

}  // namespace tk
