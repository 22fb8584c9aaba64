// fisher_scatter in CUDA: class sums and second moment; contract in kernels/fisher_scatter.
#pragma once

#include <cstdint>

#include "device/device_matrix.h"

namespace tk {

// Addresses are the device's; everything is contiguous but X.
struct FisherScatterCudaArgs {
    DeviceMatrix X;         // (n, d), not empty
    const double* weights;  // (n)
    const double* shift;    // (d)
    const int64_t* order;   // (n) samples sorted by class
    const int64_t* codes;   // (n) their classes, sorted, in [0, n_classes)
    const int64_t* starts;  // (n_classes + 1) where each class starts among them
    int64_t n_classes;
    bool weighted;      // whether the weights are not all one, and the sums come in two kinds
    int n_blocks;       // that multiply at a time: the multiprocessors
    double* workspace;  // fisher_scatter_workspace() doubles
    double* gram;    // (d, d): its upper triangle is set; below, tiles on the diagonal leave parts
    double* sums;    // (kinds, n_classes, d): with the weights and, if weighted, with their roots
    double* counts;  // (kinds, n_classes)
};

// Doubles of scratch memory: about two tiles of 128 x 128 for each block, or the class sums' parts.
int64_t fisher_scatter_workspace(int64_t n, int64_t d, int64_t n_classes, bool weighted,
                                 int n_blocks);

// Queues the kernels on the stream; throws std::runtime_error where CUDA refuses.
void fisher_scatter_cuda(const FisherScatterCudaArgs& args, void* stream);

}  // namespace tk
