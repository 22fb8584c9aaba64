// Kernels of the orthogonal reduction of a symmetric matrix to a band of 32, one panel at a time.
//
// Householder QR of the 32 rows right of a diagonal block gives Q = I - V T V^T (Schreiber and Van
// Loan, 1989) and the rest of the matrix becomes Q^T A Q = A - V W^T - W V^T with Y = A V and W =
// (Y - V (T^T V^T Y) / 2) T. Columns that Q^T is to be applied to are rows below the matrix: there
// V is zero, and the same formulas give them. Y and the difference are products for a BLAS; here is
// the rest. V, W and Y are stored as their transposes, 32 long rows each.
#pragma once

#include "block_band.cuh"

namespace tk {

// ---- V and the band's next block, by one thread block.

constexpr int kReflectors = 8;  // columns factored at a time, in shared memory where they fit
constexpr int kMaxPanelThreads = 512;

struct PanelArgs {
    double* panel;  // (32, length), rows `stride` apart; becomes the band's block and junk
    int64_t stride;
    double* reflectors;  // (32, length) V^T, rows `reflector_stride` apart
    int64_t reflector_stride;
    double* taus;    // (32,)
    int64_t length;  // a multiple of 32
};

// What the threads of factor_panel_kernel share besides the columns.
struct PanelShared {
    double partial[kMaxPanelThreads / 32][kReflectors];
    double totals[kReflectors];
    double heads[2][kReflectors];
    double taus[kReflectors];
    double overlaps[kBand][kReflectors];
    double weights[kBand][kReflectors];
};

// Sums of eight values over the warp; lane 4 j and its three followers get that of sums[j]. In each of
// the first three steps a lane hands on the half of its values that it will not have: 9 exchanges
// instead of 40.
__device__ __forceinline__ double warp_sums(const double (&sums)[kReflectors]) {
    static_assert(kReflectors == 8, "three halvings");
    const int lane = threadIdx.x % 32;
    double four[4], two[2];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const double kept = lane & 16 ? sums[j + 4] : sums[j];
        const double given = lane & 16 ? sums[j] : sums[j + 4];
        four[j] = kept + __shfl_xor_sync(kFullMask, given, 16);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        const double kept = lane & 8 ? four[j + 2] : four[j];
        const double given = lane & 8 ? four[j] : four[j + 2];
        two[j] = kept + __shfl_xor_sync(kFullMask, given, 8);
    }
    const double given = lane & 4 ? two[0] : two[1];
    double sum = (lane & 4 ? two[1] : two[0]) + __shfl_xor_sync(kFullMask, given, 4);
    sum += __shfl_xor_sync(kFullMask, sum, 2);
    sum += __shfl_xor_sync(kFullMask, sum, 1);
    return sum;
}

// shared.totals[j] = sums[j] over the block for j >= first; the others are junk. Ends with a barrier.
__device__ __forceinline__ void sum_over_block(const double (&sums)[kReflectors], int first,
                                               PanelShared& shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int n_warps = blockDim.x / 32;
    const double sum_of_lane = warp_sums(sums);
    if (lane % 4 == 0) shared.partial[warp][lane / 4] = sum_of_lane;
    __syncthreads();
    if (static_cast<int>(threadIdx.x) >= first && threadIdx.x < kReflectors) {
        double sum = 0.0;
        for (int w = 0; w < n_warps; ++w) sum += shared.partial[w][threadIdx.x];
        shared.totals[threadIdx.x] = sum;
    }
    __syncthreads();
}

// Householder vectors of the columns, the first one with its head in row `head`; where a vector's
// image stands, in `panel`. Every thread has its own rows.
__device__ __forceinline__ void factor_columns(double* columns, int64_t ld, double* panel,
                                               const PanelArgs& args, int64_t head,
                                               PanelShared& shared) {
    double sums[kReflectors] = {};
    for (int64_t r = threadIdx.x; r < args.length; r += blockDim.x) {
        double x[kReflectors];
#pragma unroll
        for (int j = 0; j < kReflectors; ++j) {
            // Above are finished rows of the band's block.
            x[j] = r < head ? 0.0 : panel[j * args.stride + r];
            columns[j * ld + r] = x[j];
            if (r == head) shared.heads[0][j] = x[j];
            if (r > head) sums[j] += x[0] * x[j];
        }
    }
#pragma unroll
    for (int a = 0; a < kReflectors; ++a) {
        sum_over_block(sums, a, shared);
        const int64_t row = head + a;
        const double top = shared.heads[a % 2][a], tail = shared.totals[a];
        double image = top, scale = 0.0, tau = 0.0;
        if (tail > 0.0) {
            const double norm = sqrt(top * top + tail);
            image = top > 0.0 ? -norm : norm;
            scale = 1.0 / (top - image);
            tau = (image - top) / image;
        }
        double weights[kReflectors];
#pragma unroll
        for (int j = a + 1; j < kReflectors; ++j) {
            weights[j] = tau * (shared.heads[a % 2][j] + scale * shared.totals[j]);
            sums[j] = 0.0;
        }
        if (threadIdx.x == 0) shared.taus[a] = tau;
        for (int64_t r = threadIdx.x; r < args.length; r += blockDim.x) {
            if (r < row) continue;
            if (r == row) {
                panel[a * args.stride + r] = image;
                columns[a * ld + r] = tau != 0.0 ? 1.0 : 0.0;
#pragma unroll
                for (int j = a + 1; j < kReflectors; ++j) {
                    panel[j * args.stride + r] = columns[j * ld + r] - weights[j];
                    columns[j * ld + r] = 0.0;
                }
                continue;
            }
            double x[kReflectors];
#pragma unroll
            for (int j = a; j < kReflectors; ++j) x[j] = columns[j * ld + r];
            x[a] *= scale;
#pragma unroll
            for (int j = a + 1; j < kReflectors; ++j) x[j] -= weights[j] * x[a];
#pragma unroll
            for (int j = a; j < kReflectors; ++j) columns[j * ld + r] = x[j];
#pragma unroll
            for (int j = a + 1; j < kReflectors; ++j) {
                if (r == row + 1)
                    shared.heads[(a + 1) % 2][j] = x[j];
                else
                    sums[j] += x[a + 1] * x[j];
            }
        }
    }
    __syncthreads();
}

// The reflectors in `columns` applied to the panel's `n_rest` columns after them, a multiple of 8.
__device__ __forceinline__ void apply_reflectors(const double* columns, int64_t ld, double* rest,
                                                 int n_rest, const PanelArgs& args, int64_t head,
                                                 PanelShared& shared) {
    if (n_rest == 0) return;
    const int lane = threadIdx.x % 32, n_warps = blockDim.x / 32;
    // Two columns a warp, so that the reflectors are read half as often; their number is even.
    for (int c = threadIdx.x / 32 * 2; c < kReflectors + n_rest; c += 2 * n_warps) {
        const bool of_reflectors = c < kReflectors;
        const double* const other = of_reflectors ? columns + c * ld
                                                  : rest + (c - kReflectors) * args.stride;
        const double* const next = other + (of_reflectors ? ld : args.stride);
        double sums[kReflectors] = {}, next_sums[kReflectors] = {};
#pragma unroll 2
        for (int64_t r = lane; r < args.length; r += 32) {
            const double x = other[r], y = next[r];
#pragma unroll
            for (int b = 0; b < kReflectors; ++b) {
                const double v = columns[b * ld + r];
                sums[b] += v * x;
                next_sums[b] += v * y;
            }
        }
        const double sum = warp_sums(sums), next_sum = warp_sums(next_sums);
        if (lane % 4 == 0) {
            shared.overlaps[c][lane / 4] = sum;
            shared.overlaps[c + 1][lane / 4] = next_sum;
        }
    }
    __syncthreads();
    // One reflector after the other, by their overlaps alone.
    for (int c = threadIdx.x; c < n_rest; c += blockDim.x) {
        double weights[kReflectors];
#pragma unroll
        for (int a = 0; a < kReflectors; ++a) {
            double overlap = shared.overlaps[kReflectors + c][a];
#pragma unroll
            for (int b = 0; b < a; ++b) overlap -= weights[b] * shared.overlaps[a][b];
            weights[a] = shared.taus[a] * overlap;
            shared.weights[c][a] = weights[a];
        }
    }
    __syncthreads();
    for (int64_t r = threadIdx.x; r < args.length; r += blockDim.x) {
        if (r < head) continue;
        double v[kReflectors];
#pragma unroll
        for (int b = 0; b < kReflectors; ++b) v[b] = columns[b * ld + r];
        for (int first = 0; first < n_rest; first += kReflectors) {
            double* const own = rest + first * args.stride + r;
            double x[kReflectors];
#pragma unroll
            for (int c = 0; c < kReflectors; ++c) x[c] = own[c * args.stride];
#pragma unroll
            for (int c = 0; c < kReflectors; ++c)
#pragma unroll
                for (int b = 0; b < kReflectors; ++b) x[c] -= shared.weights[first + c][b] * v[b];
#pragma unroll
            for (int c = 0; c < kReflectors; ++c) own[c * args.stride] = x[c];
        }
    }
}

// Either with kReflectors * length doubles of dynamic shared memory or, for long panels, without
// any.
template <bool kInShared>
__global__ void __launch_bounds__(kMaxPanelThreads) factor_panel_kernel(const PanelArgs args) {
    TK_DYNAMIC_SHARED(double, shared_columns);
    TK_SHARED(PanelShared, shared, [1]);
    for (int first = 0; first < kBand; first += kReflectors) {
        double* const reflectors = args.reflectors + first * args.reflector_stride;
        double* const columns = kInShared ? shared_columns : reflectors;
        const int64_t ld = kInShared ? args.length : args.reflector_stride;
        double* const panel = args.panel + first * args.stride;
        factor_columns(columns, ld, panel, args, first, shared[0]);
        apply_reflectors(columns, ld, panel + kReflectors * args.stride,
                         kBand - kReflectors - first, args, first, shared[0]);
        if (threadIdx.x < kReflectors) args.taus[first + threadIdx.x] = shared[0].taus[threadIdx.x];
        if (kInShared)
            for (int j = 0; j < kReflectors; ++j)
                for (int64_t r = threadIdx.x; r < args.length; r += blockDim.x)
                    reflectors[j * args.reflector_stride + r] = columns[j * ld + r];
        __syncthreads();
    }
}

// ---- W, in two steps: partial sums of V^T Y and V^T V, then everything else row by row.

constexpr int kChunkRows = 64;  // of V and Y in shared memory at a time
constexpr int kChunkStride = kChunkRows + 4;
constexpr int kMaxPartials = 16;
constexpr size_t kOverlapBytes = sizeof(double) * 2 * kBand * kChunkStride;
constexpr int kPartial = 2 * kBand * kBand;  // V^T Y, then V^T V, row after row

struct UpdateArgs {
    const double* products;  // (32, rows) Y^T
    double* factors;         // (96, rows): V^T as far as `length`; gets V^T, W^T, V^T
    const double* taus;      // (32,)
    double* partials;        // (n_partials, 2, 32, 32)
    int64_t length, rows;    // of V; and of Y, those of the columns included
    int n_partials;
};

// A thread block of four warps for each partial sum.
__global__ void __launch_bounds__(128) sum_overlaps_kernel(const UpdateArgs args) {
    TK_DYNAMIC_SHARED(double, v);
    double* const y = v + kBand * kChunkStride;
    // Warps 0 and 2 take V^T Y, 1 and 3 V^T V; each 16 of their 32 rows.
    Quarter sums[2] = {};
    const double* const mine = threadIdx.x / 32 % 2 ? v : y;
    const int lane = threadIdx.x % 32, row = Quarter::row(0);
    for (int64_t first = static_cast<int64_t>(blockIdx.x) * kChunkRows; first < args.length;
         first += static_cast<int64_t>(gridDim.x) * kChunkRows) {
        __syncthreads();
#pragma unroll 4
        for (int i = threadIdx.x; i < kBand * kChunkRows; i += blockDim.x) {
            const int a = i / kChunkRows, r = i % kChunkRows;
            const bool inside = first + r < args.length;
            v[a * kChunkStride + r] = inside ? args.factors[a * args.rows + first + r] : 0.0;
            y[a * kChunkStride + r] = inside ? args.products[a * args.rows + first + r] : 0.0;
        }
        __syncthreads();
#pragma unroll 2
        for (int k = lane % 4; k < kChunkRows; k += 8) {
            const double* const left = v + row * kChunkStride + k;
            const double a[4] = {left[0], left[8 * kChunkStride], left[4],
                                 left[8 * kChunkStride + 4]};
#pragma unroll
            for (int piece = 0; piece < 4; ++piece) {
                const double* const right = mine + (piece * 8 + lane / 4) * kChunkStride + k;
                const double b[2] = {right[0], right[4]};
                mma_m16n8k8_f64(sums[piece / 2].values[piece % 2], a, b);
            }
        }
    }
    double* const out = args.partials + blockIdx.x * kPartial +
                        threadIdx.x / 32 % 2 * kBand * kBand;
#pragma unroll
    for (int piece = 0; piece < 4; ++piece)
#pragma unroll
        for (int e = 0; e < 4; ++e)
            out[Quarter::row(e) * kBand + piece * 8 + lane % 4 * 2 + e % 2] =
                sums[piece / 2].values[piece % 2][e];
}

// row T: T^-1 is upper triangular, the overlaps V^T V above the diagonal and 1 / tau on it.
__device__ __forceinline__ void multiply_by_t(double (&row)[kBand], const double* overlaps,
                                              const double* taus) {
#pragma unroll
    for (int a = 0; a < kBand; ++a) {
        double sums[2] = {row[a], 0.0};
#pragma unroll
        for (int b = 0; b < a; ++b) sums[b % 2] -= row[b] * overlaps[b * kBand + a];
        row[a] = taus[a] * (sums[0] + sums[1]);
    }
}

// A row of Y a thread.
__global__ void __launch_bounds__(128) finish_update_kernel(const UpdateArgs args) {
    TK_SHARED(double, products, [kBand * kBand]);  // V^T Y, then its half, T^T (V^T Y) / 2
    TK_SHARED(double, overlaps, [kBand * kBand]);  // V^T V
    TK_SHARED(double, taus, [kBand]);
    if (threadIdx.x < kBand) taus[threadIdx.x] = args.taus[threadIdx.x];
    for (int i = threadIdx.x; i < kPartial; i += blockDim.x) {
        double sum = 0.0;
#pragma unroll 8
        for (int p = 0; p < args.n_partials; ++p) sum += args.partials[p * kPartial + i];
        (i < kBand * kBand ? products[i] : overlaps[i - kBand * kBand]) = sum;
    }
    __syncthreads();
    double y[kBand];
    if (threadIdx.x < kBand) {
#pragma unroll
        for (int a = 0; a < kBand; ++a) y[a] = products[a * kBand + threadIdx.x];
        multiply_by_t(y, overlaps, taus);
#pragma unroll
        for (int a = 0; a < kBand; ++a) products[a * kBand + threadIdx.x] = 0.5 * y[a];
    }
    __syncthreads();

    const int64_t r = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (r >= args.rows) return;
    double* const v_transpose = args.factors + r;
    double* const w_transpose = v_transpose + kBand * args.rows;
    double* const v_again = w_transpose + kBand * args.rows;
#pragma unroll
    for (int a = 0; a < kBand; ++a) y[a] = args.products[a * args.rows + r];
    if (r < args.length) {
        for (int first = 0; first < kBand; first += kReflectors) {
            double v[kReflectors];
#pragma unroll
            for (int b = 0; b < kReflectors; ++b) v[b] = v_transpose[(first + b) * args.rows];
#pragma unroll
            for (int b = 0; b < kReflectors; ++b) {
                v_again[(first + b) * args.rows] = v[b];
#pragma unroll
                for (int a = 0; a < kBand; ++a) y[a] -= v[b] * products[(first + b) * kBand + a];
            }
        }
    } else {
        for (int b = 0; b < kBand; ++b) v_transpose[b * args.rows] = v_again[b * args.rows] = 0.0;
    }
    multiply_by_t(y, overlaps, taus);
#pragma unroll
    for (int a = 0; a < kBand; ++a) w_transpose[a * args.rows] = y[a];
}

}  // namespace tk
