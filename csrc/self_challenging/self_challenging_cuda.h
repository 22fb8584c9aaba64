// self_challenging in CUDA: both softmaxes of a discriminant; contract in kernels/self_challenging.
#pragma once

#include <cstdint>

#include "device/device_matrix.h"

namespace tk {

// Addresses are the device's; everything is contiguous but X and coef.
struct SelfChallengingCudaArgs {
    DeviceMatrix X;        // (n, d), not empty
    const int64_t* codes;  // (n) in [0, n_classes)
    const double* coef;    // (n_classes, d)
    int64_t coef_row_stride, coef_col_stride;
    const double* intercept;  // (n_classes)
    int64_t n_classes;
    const double* shares;           // (n) of the sample in its mix, or null: no mixing
    const double* anchors;          // (n_classes, n_classes): the classes' anchors times coef
    int64_t chunk_rows;             // samples at a time, a multiple of 128
    double* workspace;              // chunk_rows / 128 times self_challenging_workspace()
    double *posterior, *challenge;  // (n)
};

// Doubles of scratch memory for 128 samples: their discriminants, padded.
int64_t self_challenging_workspace(int64_t n_classes);

// Queues the kernels on the stream; throws std::runtime_error where CUDA refuses.
void self_challenging_cuda(const SelfChallengingCudaArgs& args, void* stream);

}  // namespace tk
