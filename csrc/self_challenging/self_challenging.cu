// self_challenging on the device: products of a chunk of samples, then both softmaxes of each.
//
// The discriminants are the product of X with the coefficients' transpose, in the tiles of the Gram
// matrix (feature_tiles.cuh) with features in the place of samples, a block each. They go to memory
// for a chunk of samples, which the L2 cache holds for the most part; from there each warp takes
// samples through the softmaxes. No two blocks share anything, and every sum has one order: the same
// bits every time.
//
// Expected for 50 000 x 2048 and 100 classes on an H200: 20 GFLOP, of which 128 / 100 are computed,
// 0.4 ms at the rate of the Gram matrix; the softmaxes, 10^7 exponentials, a tenth of that. Not
// measured yet.
#include "self_challenging_cuda.h"

#include <cmath>

#include "device/device_elements.cuh"
#include "device/feature_tiles.cuh"

namespace tk {

namespace {

constexpr int kWarps = kFeatureThreads / 32;

// Classes in whole tiles.
__host__ __device__ int64_t padded(int64_t n_classes) {
    return (n_classes + kTile - 1) / kTile * kTile;
}

struct Challenge {
    int64_t n_classes;
    const int64_t* codes;
    const double *intercept, *shares, *anchors;
    double *posterior, *challenge;
};

__device__ __forceinline__ double largest_of_warp(double value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value = fmax(value, __shfl_xor_sync(kFullMask, value, distance));
    return value;
}

__device__ __forceinline__ double sum_of_warp(double value) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_xor_sync(kFullMask, value, distance);
    return value;
}

// The tile's sums to z, rows of `stride`.
__device__ __forceinline__ void store_products(const Sums& sums, int64_t stride, double* z) {
    const TilePlace first = place_of_sum(static_cast<int>(threadIdx.x), 0);
    z += first.row * stride + first.column;
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
        const TilePlace place = place_of_sum(0, i);
        z[place.row * stride + place.column] = sums[i];
    }
}

// Both softmaxes of a sample with these products z, by one warp; z becomes junk.
__device__ __forceinline__ void finish_sample(const Challenge& args, int64_t row, double* z) {
    const int64_t lane = threadIdx.x % 32, own = args.codes[row];
    const double share = args.shares ? args.shares[row] : 1.0;
    const double* const anchor = args.shares ? args.anchors + own * args.n_classes : nullptr;
    double highest = -INFINITY;
    for (int64_t k = lane; k < args.n_classes; k += 32) {
        double value = z[k];
        if (args.shares) value = share * value + (1.0 - share) * anchor[k];
        z[k] = value += args.intercept[k];
        highest = fmax(highest, value);
    }
    highest = largest_of_warp(highest);
    double total = 0.0, mine = 0.0;
    for (int64_t k = lane; k < args.n_classes; k += 32) {
        const double e = exp(z[k] - highest);
        z[k] = e;
        total += e;
        if (k == own) mine = e;
    }
    total = sum_of_warp(total);
    mine = sum_of_warp(mine);
    double second_total = 0.0;  // probabilities need no maximum
    for (int64_t k = lane; k < args.n_classes; k += 32) second_total += exp(z[k] / total);
    second_total = sum_of_warp(second_total);
    if (lane == 0) {
        const double p = mine / total;
        args.posterior[row] = p;
        args.challenge[row] = exp(p) / second_total;
    }
}

// Products of samples [first + 128 blockIdx.x, ...) and classes [128 blockIdx.y, ...) to z, whose
// first row is that of sample `first`. `x` and `coef` are seen from the side: their samples are the
// features.
template <class T>
__global__ void __launch_bounds__(kFeatureThreads, 1)
    multiply_samples(FeatureView<T> x, FeatureView<double> coef, bool along_rows, int64_t first,
                     int64_t stride, double* z) {
    TK_DYNAMIC_SHARED(double, panels);
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kTile;
    const int64_t k = static_cast<int64_t>(blockIdx.y) * kTile;
    Sums sums;
    multiply_tile<false>(x, coef, step_place(along_rows), panels, first + row, k, 0, x.n, sums);
    store_products(sums, stride, z + row * stride + k);
}

// A warp a sample, those of the chunk [first, last).
static __global__ void __launch_bounds__(kFeatureThreads)
    finish_samples(Challenge args, int64_t first, int64_t last, int64_t stride, double* z) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
    if (first + row < last) finish_sample(args, first + row, z + row * stride);
}

int64_t magnitude(int64_t a) { return a < 0 ? -a : a; }

unsigned blocks_for(int64_t count, int64_t each) {
    return static_cast<unsigned>((count + each - 1) / each);
}

template <class T>
void challenge_samples(const T* x, const SelfChallengingCudaArgs& args, void* stream) {
    const DeviceMatrix& X = args.X;
    const bool along_rows = magnitude(X.row_stride) <= magnitude(X.col_stride);
    const FeatureView<T> samples{x, X.cols, X.rows, X.col_stride, X.row_stride, nullptr, nullptr};
    const FeatureView<double> coef{
        args.coef, X.cols, args.n_classes, args.coef_col_stride, args.coef_row_stride,
        nullptr,   nullptr};
    const Challenge challenge{args.n_classes, args.codes,     args.intercept, args.shares,
                              args.anchors,   args.posterior, args.challenge};
    const int64_t stride = padded(args.n_classes);
    for (int64_t first = 0; first < X.rows; first += args.chunk_rows) {
        const int64_t last = smaller(first + args.chunk_rows, X.rows);
        launch(multiply_samples<T>,
               dim3(blocks_for(last - first, kTile), blocks_for(stride, kTile)),
               dim3(kFeatureThreads), kFeatureSharedBytes, stream, samples, coef, along_rows, first,
               stride, args.workspace);
        launch(finish_samples, dim3(blocks_for(last - first, kWarps)), dim3(kFeatureThreads), 0,
               stream, challenge, first, last, stride, args.workspace);
    }
}

}  // namespace

int64_t self_challenging_workspace(int64_t n_classes) { return kTile * padded(n_classes); }

void self_challenging_cuda(const SelfChallengingCudaArgs& args, void* stream) {
    with_elements(args.X, [&](auto x) { challenge_samples(x, args, stream); });
}

}  // namespace tk
