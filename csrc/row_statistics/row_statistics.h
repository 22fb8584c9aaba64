// row_statistics: squared norms and log-sums of the rows; contract in kernels/row_statistics.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct RowStatisticsArgs {
    MatrixView X;         // (n, d), not empty
    const double* shift;  // (d)
    int n_threads;
    double* squares;  // (n)
    double* logsums;  // (n)
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(row_statistics, RowStatisticsArgs)

}  // namespace tk
