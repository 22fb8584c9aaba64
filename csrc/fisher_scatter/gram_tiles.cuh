// Kernels of the Gram matrix: tiles of 128 x 128 of the shifted, weighted features' products, see
// feature_tiles.cuh.
//
// With 5 % for the halves of the tiles on the diagonal that nobody wants, and something for barriers
// and the two ends of a tile, 75 to 85 % of the tensor cores' peak in useful products is to be
// expected: about 4 ms for 50 000 x 2048. Not measured yet.
#pragma once

#include "device/device.cuh"
#include "device/feature_tiles.cuh"
#include "device/triangle_schedule.cuh"

namespace tk {

constexpr int64_t kTileElements = kTile * kTile;

// A whole tile goes to the Gram matrix, a part to its slot, thread by thread.
__device__ __forceinline__ void store_tile(const TriangleSchedule::Job& job, const Sums& sums,
                                           int64_t d, double* parts, double* gram) {
    const int thread = static_cast<int>(threadIdx.x);
    if (job.slot >= 0) {
        double* const to = parts + job.slot * kTileElements + thread;
#pragma unroll
        for (int i = 0; i < kSums; ++i) to[i * kFeatureThreads] = sums[i];
        return;
    }
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
        const TilePlace within = place_of_sum(thread, i);
        const int64_t row = job.place.row * kTile + within.row;
        const int64_t column = job.place.column * kTile + within.column;
        if (row < d && column < d) gram[row * d + column] = sums[i];
    }
}

// For schedule.blocks blocks. Beside the tiles' upper triangle some of the lower one is set, too.
template <class T>
__global__ void __launch_bounds__(kFeatureThreads, 1)
    multiply_tiles(FeatureView<T> input, TriangleSchedule schedule, bool along_features,
                   double* parts, double* gram) {
    TK_DYNAMIC_SHARED(double, panels);
    TK_SHARED(TriangleSchedule::Job, job, [1]);  // shared, as the sums leave no registers
    for (int number = 0; number < schedule.jobs(); ++number) {
        __syncthreads();
        if (threadIdx.x == 0) job[0] = schedule.job(blockIdx.x, number);
        __syncthreads();
        if (job[0].first == job[0].last) continue;
        Sums sums;
        multiply_tile<true>(input, input, step_place(along_features), panels,
                            job[0].place.row * kTile, job[0].place.column * kTile,
                            job[0].first * kDepth, smaller(job[0].last * kDepth, input.n), sums);
        store_tile(job[0], sums, input.d, parts, gram);
    }
}

// Adds the parts of remaining tile blockIdx.y: the threads' sums of number blockIdx.x.
static __global__ void __launch_bounds__(kFeatureThreads)
    add_parts(TriangleSchedule schedule, const double* parts, int64_t d, double* gram) {
    const int number = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
    const int64_t tile = blockIdx.y;
    const int64_t last = schedule.last_block(tile);
    double total = 0.0;
#pragma unroll 8
    for (int64_t block = schedule.first_block(tile); block <= last; ++block)
        total +=
            parts[schedule.slot(block, tile) * kTileElements + number * kFeatureThreads + thread];
    const TriangleSchedule::Place place = schedule.rest_place(tile);
    const TilePlace within = place_of_sum(thread, number);
    const int64_t row = place.row * kTile + within.row;
    const int64_t column = place.column * kTile + within.column;
    if (row < d && column < d) gram[row * d + column] = total;
}

}  // namespace tk
