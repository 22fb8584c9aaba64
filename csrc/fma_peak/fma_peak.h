// fma_peak: the rate of fused multiply-adds that a processor reaches, the ceiling of every kernel.
#pragma once

#include "common/isa.h"

namespace tk {

struct FmaPeakArgs {
    double seconds;
    int n_threads;
    double* float64;  // GFLOP/s of all threads together
    double* float32;
};

TK_DECLARE_KERNEL(fma_peak, FmaPeakArgs)

}  // namespace tk
