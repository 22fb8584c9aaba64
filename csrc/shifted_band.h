// Solution, log determinant and traces of A + t I for a positive semidefinite band matrix A, by one
// thread block of four warps.
//
// LDL^T, 32 rows at a time. Every pivot is at least t in exact arithmetic, so what rounding takes
// below that is put back. Pivots below `noise`, the rounding error in A itself, belong to null
// directions of A: they become t and are decoupled from the rest.
//
// The traces are the derivatives of ln det(x A + y t I) by x and y at 1, carried along with the
// elimination. Their sum is the size; the one that is small, `fitted` where t is above the mean
// eigenvalue, is computed, and with it the other one, without cancellation.
#pragma once

#include "block_band.h"

namespace tk {

constexpr int kSweepThreads = 128;

// Which t; in shared memory, where registers are short.
struct Shift {
    double t;
    double noise;
    bool is_large;   // t is above the mean eigenvalue
    bool drop_null;  // whether the solution has no part in the null directions
};

struct Elimination {
    double energy;           // b . u for u = (A + t I)^-1 b
    double log_determinant;  // of A + t I
    double fitted;           // tr A (A + t I)^-1; until the end, the trace that is computed
    double left_over;        // tr t (A + t I)^-1
};

// What the steps leave for the way back: u_i = z_i - G_i^T u_{i+1}. In global memory, a block's own.
struct Workspace {
    double* g;  // (n_blocks, 32, 32)
    double* z;  // (n_blocks, 32); becomes u

    static __host__ __device__ int64_t elements(int n_blocks) {
        return static_cast<int64_t>(n_blocks) * kBand * (kBand + 1);
    }
    __device__ __forceinline__ Workspace(double* memory, int n_blocks)
        : g(memory), z(memory + static_cast<int64_t>(n_blocks) * (kBand * kBand)) {}
};

struct SweepShared {
    Shift shift;
    double schur[kTileElements];       // what is left of A + t I: its next diagonal block
    double derivative[kTileElements];  // of that, by x or y
    double inverse[kTileElements];     // H = L^-1 of the block
    double right[kTileElements];       // what stands right of the block, zeros above the diagonal
    double below[kTileElements];       // transpose of what stands below L in its columns
    double g[kTileElements];           // (the same) H
    union {
        double columns[2][kBand * kBand];  // as they are eliminated, one copy for each warp at it
        double product[kTileElements];
    };
    double pivots[kBand];
    double inverses[kBand];     // of the pivots
    double keeps[kBand];        // the same, but zero in null directions
    double rhs[kBand], y[kBand];
    double shares[2][kBand];
    Elimination terms[kBand];  // of the rows so far, by their place in the block
    double sums[4][kSweepThreads / 32];
    double u[kBand], partial[kSweepThreads / 32][kBand];
};

// The sums of four values over the threads of the block, for all of them.
__device__ __forceinline__ void sum_over_threads(double (&values)[4], SweepShared& shared) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        for (int distance = 16; distance > 0; distance /= 2)
            values[i] += __shfl_xor_sync(kFullMask, values[i], distance);
        if (threadIdx.x % 32 == 0) shared.sums[i][threadIdx.x / 32] = values[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 4; ++i)
        values[i] = (shared.sums[i][0] + shared.sums[i][1]) +
                    (shared.sums[i][2] + shared.sums[i][3]);
}

// The sum over the four lanes whose numbers differ in the last two bits.
__device__ __forceinline__ double quad_sum(double x) {
    x += __shfl_xor_sync(kFullMask, x, 1);
    return x + __shfl_xor_sync(kFullMask, x, 2);
}

// By the first two warps: eliminates the columns of the block in shared.schur. A lane has its row of
// the block, and a row of what takes part below it and becomes (this) L^-T: the next block's rows in
// the first warp, the identity in the second.
__device__ __forceinline__ void eliminate_columns(SweepShared& shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const Shift& shift = shared.shift;
    double* const columns = shared.columns[warp];
    double own[kBand], row[kBand];
#pragma unroll
    for (int k = 0; k < kBand; ++k)
        row[k] = warp == 0 ? shared.right[k * kTileStride + lane] : k == lane ? 1.0 : 0.0;
#pragma unroll
    for (int k = 0; k < kBand; ++k) own[k] = shared.schur[k * kTileStride + lane];
    double own_pivot = 1.0, own_keep = 1.0;
    columns[lane] = own[0];
#pragma unroll
    for (int k = 0; k < kBand; ++k) {
        __syncwarp();
        const double* const column = columns + k * kBand;
        const double head = column[k];
        const bool null = head < shift.noise;
        const double pivot = null || head < shift.t ? shift.t : head;
        const double keep = null ? 0.0 : 1.0 / pivot;
        const double own_factor = own[k] * keep, row_factor = row[k] * keep;
        if (lane == k) {
            own_pivot = pivot;
            own_keep = keep;
        }
#pragma unroll
        for (int j = 0; j < kBand; ++j) {
            if (j <= k) continue;
            own[j] -= own_factor * column[j];
            if (j == k + 1) columns[j * kBand + lane] = own[j];
            row[j] -= row_factor * column[j];
        }
    }
    if (warp == 0) {
        shared.pivots[lane] = own_pivot;
        shared.inverses[lane] = 1.0 / own_pivot;
        shared.keeps[lane] = own_keep;
        __syncwarp();
#pragma unroll
        for (int k = 0; k < kBand; ++k)
            shared.below[k * kTileStride + lane] = row[k] * shared.keeps[k];
    } else {
#pragma unroll
        for (int k = 0; k < kBand; ++k) shared.inverse[k * kTileStride + lane] = row[k];
    }
}

// Eliminates the whole band plus shared.shift, with b (n_blocks * 32, zeros beyond the size) on the
// right-hand side.
__device__ __forceinline__ Elimination eliminate(const BlockBand& band, const double* b,
                                                 const Workspace& workspace, SweepShared& shared) {
    const Shift& shift = shared.shift;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int own = threadIdx.x / 4, part = threadIdx.x % 4;  // a row for every four lanes
    constexpr int kRightRows = kSweepThreads / 32, kRights = kBand / kRightRows;
    // The derivative is that of x A + y t I by x or by y.
    const auto by_x = [&] { return shift.is_large ? 1.0 : 0.0; };
    const auto by_y = [&] { return shift.is_large ? 0.0 : shift.t; };

    // The values of A for a thread's quarter of the next diagonal block, and some right of it.
    Quarter next;
    double next_right[kRights];
    const auto load_next = [&](int block) {
#pragma unroll
        for (int piece = 0; piece < 2; ++piece)
#pragma unroll
            for (int e = 0; e < 4; ++e)
                next.values[piece][e] =
                    block < band.n_blocks
                        ? band.diagonal(block)[band.offset(Quarter::row(e),
                                                           Quarter::column(piece, e))]
                        : 0.0;
#pragma unroll
        for (int i = 0; i < kRights; ++i) {
            const int a = i * kRightRows + warp;
            next_right[i] = block + 1 < band.n_blocks && lane <= a
                                ? band.right(block)[band.offset(a, lane)]
                                : 0.0;
        }
    };
    const auto store_right = [&] {
#pragma unroll
        for (int i = 0; i < kRights; ++i)
            shared.right[(i * kRightRows + warp) * kTileStride + lane] = next_right[i];
    };
    const auto is_shifted = [&](int block, int piece, int e) {
        return Quarter::row(e) == Quarter::column(piece, e) &&
               block * kBand + Quarter::row(e) < band.size;
    };
    const auto is_padding = [&](int block, int piece, int e) {
        return Quarter::row(e) == Quarter::column(piece, e) &&
               block * kBand + Quarter::row(e) >= band.size;
    };
    const auto store = [&](double* tile, int piece, int e, double value) {
        tile[Quarter::row(e) * kTileStride + Quarter::column(piece, e)] = value;
    };

    load_next(0);
#pragma unroll
    for (int piece = 0; piece < 2; ++piece)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            const double a = next.values[piece][e];
            const bool on_diagonal = is_shifted(0, piece, e);
            store(shared.schur, piece, e,
                  is_padding(0, piece, e) ? 1.0 : a + (on_diagonal ? shift.t : 0.0));
            store(shared.derivative, piece, e, by_x() * a + (on_diagonal ? by_y() : 0.0));
        }
    store_right();
    if (part == 0) {
        shared.rhs[own] = b[own];
        shared.terms[own] = Elimination{};
    }

    for (int block = 0; block < band.n_blocks; ++block) {
        const bool last = block + 1 == band.n_blocks;
        __syncthreads();
        if (warp < 2) eliminate_columns(shared);
        load_next(block + 1);
        const double next_rhs = last ? 0.0 : b[(block + 1) * kBand + own];
        __syncthreads();

        const double* const h = shared.inverse;
        const double* const below = shared.below;
        Quarter g{}, rotated{};
        add_product(
            g, [&](int r, int k) { return below[k * kTileStride + r]; },
            [&](int k, int c) { return h[k * kTileStride + c]; });
        add_product(
            rotated, [&](int r, int k) { return h[r * kTileStride + k]; },
            [&](int k, int c) { return shared.derivative[k * kTileStride + c]; });
        // The diagonal of H (derivative) H^T.
        double shares[2] = {};
#pragma unroll
        for (int piece = 0; piece < 2; ++piece)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int r = Quarter::row(e), c = Quarter::column(piece, e);
                store(shared.g, piece, e, g.values[piece][e]);
                workspace.g[block * (kBand * kBand) + (r * kBand + c)] = g.values[piece][e];
                shares[e / 2] += rotated.values[piece][e] * h[r * kTileStride + c];
            }
        double y = 0.0;
#pragma unroll
        for (int k = part; k < kBand; k += 4) y += h[own * kTileStride + k] * shared.rhs[k];
        y = quad_sum(y);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const double share = quad_sum(shares[half]);
            if (part == 0) shared.shares[warp % 2][Quarter::row(2 * half)] = share;
        }
        if (part == 0) shared.y[own] = y;
        __syncthreads();

        // The Schur complement loses B (A + t I)^-1 B^T, its derivative that of it.
        Quarter product{}, loss{};
        add_product(
            product, [&](int r, int k) { return shared.g[r * kTileStride + k]; },
            [&](int k, int c) { return shared.derivative[k * kTileStride + c]; });
        add_product(
            loss, [&](int r, int k) { return below[k * kTileStride + r] * shared.pivots[k]; },
            [&](int k, int c) { return below[k * kTileStride + c]; });
#pragma unroll
        for (int piece = 0; piece < 2; ++piece)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                store(shared.product, piece, e, product.values[piece][e]);
                const double a = next.values[piece][e] - loss.values[piece][e];
                const bool on_diagonal = is_shifted(block + 1, piece, e);
                store(shared.schur, piece, e,
                      is_padding(block + 1, piece, e) ? 1.0
                                                      : a + (on_diagonal ? shift.t : 0.0));
                next.values[piece][e] = by_x() * (a - loss.values[piece][e]) +
                                        (on_diagonal ? by_y() : 0.0);
            }
        const double* const weights = shift.drop_null ? shared.keeps : shared.inverses;
        double z = 0.0, taken = 0.0;
#pragma unroll
        for (int k = part; k < kBand; k += 4) {
            z += h[k * kTileStride + own] * (weights[k] * shared.y[k]);
            taken += below[k * kTileStride + own] * shared.y[k];
        }
        z = quad_sum(z);
        taken = quad_sum(taken);
        if (part == 0) {
            workspace.z[block * kBand + own] = z;
            shared.rhs[own] = next_rhs - taken;
            if (block * kBand + own < band.size) {
                Elimination& terms = shared.terms[own];
                terms.energy += y * y * weights[own];
                terms.log_determinant += log(shared.pivots[own]);
                const double share =
                    (shared.shares[0][own] + shared.shares[1][own]) * shared.inverses[own];
                terms.fitted += shared.keeps[own] == 0.0 ? 1.0 - by_x()
                                : share < 0.0            ? 0.0
                                : share > 1.0            ? 1.0
                                                         : share;
            }
        }
        __syncthreads();

        store_right();
        add_product(
            next, [&](int r, int k) { return shared.product[r * kTileStride + k]; },
            [&](int k, int c) { return shared.g[c * kTileStride + k]; });
#pragma unroll
        for (int piece = 0; piece < 2; ++piece)
#pragma unroll
            for (int e = 0; e < 4; ++e)
                store(shared.derivative, piece, e, next.values[piece][e]);
    }
    const Elimination terms = part == 0 ? shared.terms[own] : Elimination{};
    double sums[4] = {terms.energy, terms.log_determinant, terms.fitted, 0.0};
    sum_over_threads(sums, shared);
    const double rest = static_cast<double>(band.size) - sums[2];
    return {sums[0], sums[1], shift.is_large ? sums[2] : rest,
            shift.is_large ? rest : sums[2]};
}

// The way back after `eliminate`: u in workspace.z. Returns u . u.
__device__ __forceinline__ double substitute_back(int n_blocks,
                                                  const Workspace& workspace,
                                                  SweepShared& shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    constexpr int kRows = kBand / (kSweepThreads / 32);  // of G that a warp takes
    double norm = 0.0, g[kRows];
    const auto load = [&](int block) {
#pragma unroll
        for (int q = 0; q < kRows; ++q)
            g[q] = block < 0 ? 0.0
                             : workspace.g[(block * kBand + warp * kRows + q) * kBand + lane];
    };
    const int last = n_blocks - 1;
    if (warp == 0) {
        const double u = workspace.z[last * kBand + lane];
        shared.u[lane] = u;
        norm = u * u;
    }
    load(last - 1);
    for (int block = last - 1; block >= 0; --block) {
        __syncthreads();
        double sum = 0.0;
#pragma unroll
        for (int q = 0; q < kRows; ++q) sum += g[q] * shared.u[warp * kRows + q];
        shared.partial[warp][lane] = sum;
        load(block - 1);
        double u = warp == 0 ? workspace.z[block * kBand + lane] : 0.0;
        __syncthreads();
        if (warp == 0) {
            u -= (shared.partial[0][lane] + shared.partial[1][lane]) +
                 (shared.partial[2][lane] + shared.partial[3][lane]);
            shared.u[lane] = u;
            workspace.z[block * kBand + lane] = u;
            norm += u * u;
        }
    }
    double sums[4] = {norm, 0.0, 0.0, 0.0};
    sum_over_threads(sums, shared);
    return sums[0];
}

// u . A u for the u in workspace.z.
__device__ __forceinline__ double quadratic_form(const BlockBand& band, const Workspace& workspace,
                                                 SweepShared& shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    double sum = 0.0;
    for (int block = warp; block < band.n_blocks; block += kSweepThreads / 32) {
        const double* const u = workspace.z + block * kBand;
        const bool last = block + 1 == band.n_blocks;
        const double here = u[lane], there = last ? 0.0 : u[kBand + lane];
        for (int a = 0; a < kBand; ++a) {
            const int offset = band.offset(a, lane);
            double image = band.diagonal(block)[offset] * here;
            if (!last && lane <= a) image += 2.0 * band.right(block)[offset] * there;
            sum += u[a] * image;
        }
    }
    double sums[4] = {sum, 0.0, 0.0, 0.0};
    sum_over_threads(sums, shared);
    return sums[0];
}

}  // namespace tk
