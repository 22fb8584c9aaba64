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

#include "block_band.cuh"

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

// What the steps leave for the way back: u_i = z_i - G_i^T u_{i+1}. In global memory, a block's
// own.
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
    double inverses[kBand];  // of the pivots
    double keeps[kBand];     // the same, but zero in null directions
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

// By the first two warps: eliminates the columns of the block in shared.schur. A lane has its row
// of the block, and a row of what takes part below it and becomes (this) L^-T: the next block's
// rows in the first warp, the identity in the second.
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
    columns[lane] = own[0];
#pragma unroll
    for (int k = 0; k < kBand; ++k) {
        __syncwarp();
        const double* const column = columns + k * kBand;
        const double head = column[k];
        const bool null = head < shift.noise;
        const double pivot = null || head < shift.t ? shift.t : head;
        const double inverse = 1.0 / pivot, keep = null ? 0.0 : inverse;
        const double own_factor = own[k] * keep, row_factor = row[k] * keep;
        if (threadIdx.x == 0) {
            shared.pivots[k] = pivot;
            shared.inverses[k] = inverse;
            shared.keeps[k] = keep;
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
        __syncwarp();
#pragma unroll
        for (int k = 0; k < kBand; ++k)
            shared.below[k * kTileStride + lane] = row[k] * shared.keeps[k];
    } else {
#pragma unroll
        for (int k = 0; k < kBand; ++k) shared.inverse[k * kTileStride + lane] = row[k];
    }
}

// The elimination of the whole band plus shared.shift, with b (n_blocks * 32, zeros beyond the
// size) on the right-hand side: what a thread does in it.
class BandElimination {
public:
    __device__ __forceinline__ BandElimination(const BlockBand& band, const double* b,
                                               const Workspace& workspace, SweepShared& shared)
        : band_(band), b_(b), workspace_(workspace), shared_(shared) {}

    __device__ __forceinline__ Elimination run() {
        begin();
        for (int block = 0; block < band_.n_blocks; ++block) {
            __syncthreads();
            if (warp_ < 2) eliminate_columns(shared_);
            load(block + 1);
            __syncthreads();
            transform(block);
            __syncthreads();
            take_complement(block);
            add_terms(block);
            __syncthreads();
            take_derivative();
        }
        const Elimination terms = part_ == 0 ? shared_.terms[row_] : Elimination{};
        double sums[4] = {terms.energy, terms.log_determinant, terms.fitted, 0.0};
        sum_over_threads(sums, shared_);
        const double rest = static_cast<double>(band_.size) - sums[2];
        return shared_.shift.is_large ? Elimination{sums[0], sums[1], sums[2], rest}
                                      : Elimination{sums[0], sums[1], rest, sums[2]};
    }

private:
    // The derivative is that of x A + y t I by x or by y.
    __device__ __forceinline__ double by_x() const { return shared_.shift.is_large ? 1.0 : 0.0; }
    __device__ __forceinline__ double by_y() const {
        return shared_.shift.is_large ? 0.0 : shared_.shift.t;
    }

    // visit(piece, element, row, column) for the thread's quarter of a tile.
    template <class Visit>
    static __device__ __forceinline__ void for_quarter(Visit visit) {
#pragma unroll
        for (int piece = 0; piece < 2; ++piece)
#pragma unroll
            for (int e = 0; e < 4; ++e) visit(piece, e, Quarter::row(e), Quarter::column(piece, e));
    }

    // What the block takes of A: the thread's quarter of the diagonal, and some right of it.
    __device__ __forceinline__ void load(int block) {
        const bool inside = block < band_.n_blocks, followed = block + 1 < band_.n_blocks;
        for_quarter([&](int piece, int e, int r, int c) {
            next_.values[piece][e] = inside ? band_.diagonal(block)[band_.offset(r, c)] : 0.0;
        });
#pragma unroll
        for (int i = 0; i < kRights; ++i) {
            const int a = i * kRightRows + warp_;
            next_right_[i] = followed && lane_ <= a ? band_.right(block)[band_.offset(a, lane_)]
                                                    : 0.0;
        }
        next_b_ = inside ? b_[block * kBand + row_] : 0.0;
    }

    __device__ __forceinline__ void store_right() {
#pragma unroll
        for (int i = 0; i < kRights; ++i)
            shared_.right[(i * kRightRows + warp_) * kTileStride + lane_] = next_right_[i];
    }

    // What is left of the block's A, with the shift; padding is one.
    __device__ __forceinline__ void store_left_over(int block, int r, int c, double left_over) {
        if (r == c) {
            if (block * kBand + r < band_.size)
                left_over += shared_.shift.t;
            else
                left_over = 1.0;
        }
        shared_.schur[r * kTileStride + c] = left_over;
    }

    __device__ __forceinline__ void begin() {
        load(0);
        for_quarter([&](int piece, int e, int r, int c) {
            const double a = next_.values[piece][e];
            store_left_over(0, r, c, a);
            shared_.derivative[r * kTileStride + c] = by_x() * a + (r == c ? by_y() : 0.0);
        });
        store_right();
        if (part_ == 0) {
            shared_.rhs[row_] = next_b_;
            shared_.terms[row_] = Elimination{};
        }
    }

    // G^T, the diagonal of H (derivative) H^T and y = H b.
    __device__ __forceinline__ void transform(int block) {
        const double *const h = shared_.inverse, *const below = shared_.below;
        Quarter g{}, rotated{};
        add_product(
            g, [&](int r, int k) { return below[k * kTileStride + r]; },
            [&](int k, int c) { return h[k * kTileStride + c]; });
        add_product(
            rotated, [&](int r, int k) { return h[r * kTileStride + k]; },
            [&](int k, int c) { return shared_.derivative[k * kTileStride + c]; });
        double* const kept = workspace_.g + block * (kBand * kBand);
        double shares[2] = {};
        for_quarter([&](int piece, int e, int r, int c) {
            shared_.g[r * kTileStride + c] = g.values[piece][e];
            kept[r * kBand + c] = g.values[piece][e];
            shares[e / 2] += rotated.values[piece][e] * h[r * kTileStride + c];
        });
        double y = 0.0;
#pragma unroll
        for (int k = part_; k < kBand; k += 4) y += h[row_ * kTileStride + k] * shared_.rhs[k];
        y = quad_sum(y);
        if (part_ == 0) shared_.y[row_] = y;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const double share = quad_sum(shares[half]);
            if (part_ == 0) shared_.shares[warp_ % 2][Quarter::row(2 * half)] = share;
        }
    }

    // The next diagonal block less B (A + t I)^-1 B^T; the first parts of its derivative.
    __device__ __forceinline__ void take_complement(int block) {
        const double *const g = shared_.g, *const below = shared_.below;
        Quarter product{}, loss{};
        add_product(
            product, [&](int r, int k) { return g[r * kTileStride + k]; },
            [&](int k, int c) { return shared_.derivative[k * kTileStride + c]; });
        add_product(
            loss, [&](int r, int k) { return below[k * kTileStride + r] * shared_.pivots[k]; },
            [&](int k, int c) { return below[k * kTileStride + c]; });
        for_quarter([&](int piece, int e, int r, int c) {
            shared_.product[r * kTileStride + c] = product.values[piece][e];
            const double lost = loss.values[piece][e], left_over = next_.values[piece][e] - lost;
            store_left_over(block + 1, r, c, left_over);
            next_.values[piece][e] = by_x() * (left_over - lost) + (r == c ? by_y() : 0.0);
        });
    }

    // The other part of the derivative, G^T (derivative) G.
    __device__ __forceinline__ void take_derivative() {
        store_right();
        add_product(
            next_, [&](int r, int k) { return shared_.product[r * kTileStride + k]; },
            [&](int k, int c) { return shared_.g[c * kTileStride + k]; });
        for_quarter([&](int piece, int e, int r, int c) {
            shared_.derivative[r * kTileStride + c] = next_.values[piece][e];
        });
    }

    // What the block's rows add to the sums; z, and the next right-hand side.
    __device__ __forceinline__ void add_terms(int block) {
        const double* const weights = shared_.shift.drop_null ? shared_.keeps : shared_.inverses;
        double z = 0.0, taken = 0.0;
#pragma unroll
        for (int k = part_; k < kBand; k += 4) {
            z += shared_.inverse[k * kTileStride + row_] * (weights[k] * shared_.y[k]);
            taken += shared_.below[k * kTileStride + row_] * shared_.y[k];
        }
        z = quad_sum(z);
        taken = quad_sum(taken);
        if (part_ != 0) return;
        workspace_.z[block * kBand + row_] = z;
        shared_.rhs[row_] = next_b_ - taken;
        if (block * kBand + row_ >= band_.size) return;
        Elimination& terms = shared_.terms[row_];
        const double y = shared_.y[row_];
        terms.energy += y * y * weights[row_];
        terms.log_determinant += log(shared_.pivots[row_]);
        const double share = (shared_.shares[0][row_] + shared_.shares[1][row_]) *
                             shared_.inverses[row_];
        terms.fitted += shared_.keeps[row_] == 0.0 ? 1.0 - by_x()
                        : share < 0.0              ? 0.0
                        : share > 1.0              ? 1.0
                                                   : share;
    }

    static constexpr int kRightRows = kSweepThreads / 32, kRights = kBand / kRightRows;

    const BlockBand& band_;
    const double* const b_;
    const Workspace& workspace_;
    SweepShared& shared_;
    const int lane_ = threadIdx.x % 32, warp_ = threadIdx.x / 32;
    const int row_ = threadIdx.x / 4, part_ = threadIdx.x % 4;  // a row for every four lanes
    Quarter next_;
    double next_right_[kRights], next_b_;
};

// The way back after an elimination: u in workspace.z. Returns u . u.
__device__ __forceinline__ double substitute_back(int n_blocks, const Workspace& workspace,
                                                  SweepShared& shared) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    constexpr int kRows = kBand / (kSweepThreads / 32);  // of G that a warp takes
    double norm = 0.0, g[kRows];
    const auto load = [&](int block) {
#pragma unroll
        for (int q = 0; q < kRows; ++q)
            g[q] = block < 0 ? 0.0 : workspace.g[(block * kBand + warp * kRows + q) * kBand + lane];
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
