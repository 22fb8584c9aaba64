// A symmetric band matrix as the GPU kernels take it: 32 diagonals on either side.
#pragma once

#include "device/device.cuh"

namespace tk {

constexpr int kBand = 32;  // rows of a block; the band's width

// Blocks on the diagonal in full, right of each the lower triangle of the next: element (a, c) of
// that is element (32 i + a, 32 (i + 1) + c), zero for c > a whatever stands there. Rows from
// `size` on are padding.
struct BlockBand {
    const double* values;
    int64_t stride;
    int64_t size;
    int n_blocks;

    __device__ __forceinline__ const double* diagonal(int block) const {
        return values + block * kBand * (stride + 1);
    }
    __device__ __forceinline__ const double* right(int block) const {
        return diagonal(block) + kBand;
    }
    // Within these, in fewer registers than 64-bit numbers take.
    __device__ __forceinline__ int offset(int row, int column) const {
        return row * static_cast<int>(stride) + column;
    }
};

// In 32 x 32 tiles in shared memory with rows this far apart, fragments of matrix products lie in
// different banks, whichever way the tile is read.
constexpr int kTileStride = kBand + 4;
constexpr int kTileElements = kBand * kTileStride;

// Accumulators of 16 x 16 elements of a product, a quarter of a tile for each of four warps.
struct Quarter {
    double values[2][4];  // two pieces of 16 x 8, as mma_m16n8k8_f64 has them

    // Row and column in the tile of element `e` of piece `piece`.
    static __device__ __forceinline__ int row(int e) {
        return threadIdx.x / 64 * 16 + threadIdx.x % 32 / 4 + e / 2 * 8;
    }
    static __device__ __forceinline__ int column(int piece, int e) {
        return threadIdx.x / 32 % 2 * 16 + piece * 8 + threadIdx.x % 4 * 2 + e % 2;
    }
};

// sum += A B with A[r][k] = left(r, k) and B[k][c] = right(k, c), by all lanes of a warp.
template <class Left, class Right>
__device__ __forceinline__ void add_product(Quarter& sum, Left left, Right right) {
    const int lane = threadIdx.x % 32;
    const int row = Quarter::row(0), first_column = threadIdx.x / 32 % 2 * 16 + lane / 4;
#pragma unroll
    for (int k = lane % 4; k < kBand; k += 8) {
        const double a[4] = {left(row, k), left(row + 8, k), left(row, k + 4),
                             left(row + 8, k + 4)};
#pragma unroll
        for (int piece = 0; piece < 2; ++piece) {
            const int column = first_column + piece * 8;
            const double b[2] = {right(k, column), right(k + 4, column)};
            mma_m16n8k8_f64(sum.values[piece], a, b);
        }
    }
}

}  // namespace tk
