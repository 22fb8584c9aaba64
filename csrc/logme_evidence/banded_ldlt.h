// LDL^T of A + t I for a positive semidefinite band matrix A, a different t in every lane.
//
// Every pivot is at least t in exact arithmetic, so what rounding takes below that is put back.
// Pivots below `noise`, the rounding error in A itself, belong to null directions of A: they become
// t and are decoupled from the rest.
#pragma once

#include "band_matrix.h"
#include "common/simd.h"

namespace tk {
namespace TK_ISA {

constexpr int kPivots = 4;  // columns eliminated at a time
static_assert(kBandwidth % 2 == 0 && kBandwidth >= kPivots, "columns are taken in pairs");

// Columns of scratch for one factor, those beyond the matrix included, and vectors in them.
TK_INLINE int64_t factor_columns(const BandMatrix& band) {
    return (band.size + kPivots - 1) / kPivots * kPivots + kBandwidth;
}
TK_INLINE int64_t factor_vectors(const BandMatrix& band) {
    return factor_columns(band) * kBandColumn;
}

TK_INLINE VecD select(VecI mask, VecD yes, VecD no) {
    return reinterpret_cast<VecD>((mask & reinterpret_cast<VecI>(yes)) |
                                  (~mask & reinterpret_cast<VecI>(no)));
}
TK_INLINE VecD at_least(VecD x, VecD bound) { return select(x < bound, bound, x); }
TK_INLINE VecD at_most(VecD x, VecD bound) { return select(x > bound, bound, x); }

// Columns first ... first + count - 1 of scale A + shift I, zeros beyond the matrix.
TK_INLINE void load_columns(const BandMatrix& band, int64_t first, int64_t count, VecD scale,
                            VecD shift, VecD* columns) {
    for (int64_t j = first; j < first + count; ++j) {
        VecD* column = columns + j * kBandColumn;
        const double* values = band.values + j * kBandColumn;
        for (int64_t k = 0; k < kBandColumn; ++k)
            column[k] = j < band.size ? scale * broadcast(values[k]) : VecD{};
        column[0] += shift;
    }
}

// Rows of `Terms` columns side by side, counted from the first pivot's row.
template <int Terms>
struct Panel {
    VecD rows[kBandwidth + kPivots][Terms];
};

// A[i][j] -= sum over the terms of left[i] right[j], for the columns after the pivots.
template <int Terms>
static inline void downdate(VecD* block, const Panel<Terms>& left, const Panel<Terms>& right) {
    constexpr int64_t end = kBandwidth + kPivots;
    for (int64_t j = kPivots; j < end; j += 2) {
        VecD *column = block + j * kBandwidth, *next = column + kBandwidth;  // indexed by row
        VecD factor[Terms], next_factor[Terms];
        for (int q = 0; q < Terms; ++q) factor[q] = right.rows[j][q];
        for (int q = 0; q < Terms; ++q) next_factor[q] = right.rows[j + 1][q];
        for (int q = 0; q < Terms; ++q) column[j] -= left.rows[j][q] * factor[q];
        for (int64_t i = j + 1; i < end; ++i) {
            VecD sum = column[i], next_sum = next[i];
            for (int q = 0; q < Terms; ++q) {
                sum -= left.rows[i][q] * factor[q];
                next_sum -= left.rows[i][q] * next_factor[q];
            }
            column[i] = sum;
            next[i] = next_sum;
        }
    }
}

// What eliminating kPivots columns gives.
struct Elimination {
    VecD pivots[kPivots], inverses[kPivots];
    VecI null[kPivots];
    Panel<kPivots> raw, multipliers;  // below the pivots; multipliers are zero in null directions
};

// Eliminates the first kPivots columns of `block`, which holds the trailing matrix; leaves the
// multipliers in them and the Schur complement in the others.
static inline void eliminate(VecD* block, VecD t, VecD noise, Elimination& out) {
    constexpr int64_t end = kBandwidth + kPivots;
    for (int q = 0; q < kPivots; ++q) {
        VecD* column = block + q * kBandwidth;  // indexed by row
        out.null[q] = column[q] < noise;
        out.pivots[q] = select(out.null[q], t, at_least(column[q], t));
        out.inverses[q] = 1.0 / out.pivots[q];
        const VecD keep = select(out.null[q], VecD{}, out.inverses[q]);
        for (int64_t i = q + 1; i < end; ++i) {
            const bool inside = i <= q + kBandwidth;
            out.raw.rows[i][q] = inside ? column[i] : VecD{};
            out.multipliers.rows[i][q] = out.raw.rows[i][q] * keep;
            if (inside) column[i] = out.multipliers.rows[i][q];
        }
        for (int j = q + 1; j < kPivots && j <= q + kBandwidth; ++j)
            for (int64_t i = j; i <= q + kBandwidth; ++i)
                block[j * kBandwidth + i] -= out.multipliers.rows[i][q] * out.raw.rows[j][q];
    }
    downdate(block, out.multipliers, out.raw);
}

struct Quadratics {
    VecD energy;  // b . u
    VecD norm;    // u . u
};

// For u = (A + t I)^-1 b; `b`, factor_columns vectors with zeros after the first `size`, becomes u.
// With `drop_null`, u has no part in the null directions.
static Quadratics solve_shifted(const BandMatrix& band, VecD t, bool drop_null, VecD* columns,
                                VecD* b) {
    const VecD noise = broadcast(band.noise), one = broadcast(1.0);
    Quadratics result{};
    Elimination step;
    load_columns(band, 0, kBandwidth, one, t, columns);
    for (int64_t first = 0; first < band.size; first += kPivots) {
        VecD* block = columns + first * kBandColumn;
        load_columns(band, first + kBandwidth, kPivots, one, t, columns);
        eliminate(block, t, noise, step);
        for (int q = 0; q < kPivots; ++q) {
            VecD* x = b + first + q;
            const VecD y = x[0];
            x[0] = y * step.inverses[q];
            if (drop_null) x[0] = select(step.null[q], VecD{}, x[0]);
            result.energy += y * x[0];
            for (int64_t k = 1; k <= kBandwidth; ++k) x[k] -= block[q * kBandColumn + k] * y;
        }
    }
    for (int64_t i = band.size - 1; i >= 0; --i) {
        const VecD* column = columns + i * kBandColumn;
        VecD sums[4] = {b[i], VecD{}, VecD{}, VecD{}};
        for (int64_t k = kBandwidth; k > 0; --k) sums[k % 4] -= column[k] * b[i + k];
        b[i] = (sums[3] + sums[2]) + (sums[0] + sums[1]);
        result.norm += b[i] * b[i];
    }
    return result;
}

// u . A u.
static VecD quadratic_form(const BandMatrix& band, const VecD* u) {
    VecD sum{};
    for (int64_t j = 0; j < band.size; ++j) {
        const double* column = band.values + j * kBandColumn;
        VecD below{};
        for (int64_t k = 1; k <= kBandwidth && j + k < band.size; ++k)
            below += column[k] * u[j + k];
        sum += u[j] * (column[0] * u[j] + 2.0 * below);
    }
    return sum;
}

struct Spectrum {
    VecD log_determinant;  // of A + t I
    VecD fitted;           // tr A (A + t I)^-1
    VecD left_over;        // tr t (A + t I)^-1
};

// Natural logarithm of a running product, as mantissa and exponent.
struct LogProduct {
    VecD mantissa = broadcast(1.0);
    VecI exponent = VecI{};

    TK_INLINE void normalise(VecD& x, VecI& exponent) {
        const VecI bits = reinterpret_cast<VecI>(x);
        exponent += (bits >> 52) - 1023;
        x = reinterpret_cast<VecD>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
    }
    __attribute__((always_inline)) void multiply(VecD x) {
        normalise(x, exponent);
        mantissa *= x;
        normalise(mantissa, exponent);
    }
    __attribute__((always_inline)) VecD log() const {
        VecD result{};
        for (int lane = 0; lane < kLanes; ++lane)
            result[lane] = static_cast<double>(exponent[lane]) * 0.6931471805599453094 +
                           __builtin_log(mantissa[lane]);
        return result;
    }
};

// The traces are the derivatives of ln det(x A + y t I) by x and y at 1. Their sum is the size; the
// one that is small, `fitted` where t is above the mean eigenvalue, is computed, and with it the
// other one, without cancellation.
static Spectrum shifted_spectrum(const BandMatrix& band, VecD t, bool shift_is_large, VecD* columns,
                                 VecD* derivatives) {
    constexpr int64_t end = kBandwidth + kPivots;
    const VecD noise = broadcast(band.noise), one = broadcast(1.0);
    const VecD scale = shift_is_large ? one : VecD{};
    const VecD shift = shift_is_large ? VecD{} : t;
    VecD trace{};
    LogProduct determinant;
    Elimination step;
    Panel<2 * kPivots> left, right;
    load_columns(band, 0, kBandwidth, one, t, columns);
    load_columns(band, 0, kBandwidth, scale, shift, derivatives);
    for (int64_t first = 0; first < band.size; first += kPivots) {
        load_columns(band, first + kBandwidth, kPivots, one, t, columns);
        load_columns(band, first + kBandwidth, kPivots, scale, shift, derivatives);
        eliminate(columns + first * kBandColumn, t, noise, step);

        // With l the multipliers and z, v the pivot and the column below it in the derivative, that
        // loses l v^T + v l^T - z l l^T = l f^T + f l^T, where f = v - z/2 l.
        VecD* block = derivatives + first * kBandColumn;
        for (int q = 0; q < kPivots; ++q) {
            const VecD* column = block + q * kBandwidth;
            const VecD pivot = column[q];
            for (int64_t i = q + 1; i < end; ++i) {
                const VecD l = step.multipliers.rows[i][q];
                const VecD v = i <= q + kBandwidth ? column[i] : VecD{};
                const VecD f = select(step.null[q], VecD{}, v - 0.5 * pivot * l);
                left.rows[i][q] = right.rows[i][kPivots + q] = l;
                left.rows[i][kPivots + q] = right.rows[i][q] = f;
            }
            for (int j = q + 1; j < kPivots && j <= q + kBandwidth; ++j)
                for (int64_t i = j; i <= q + kBandwidth; ++i)
                    block[j * kBandwidth + i] -= left.rows[i][q] * right.rows[j][q] +
                                                 right.rows[i][q] * left.rows[j][q];
            if (first + q < band.size) {
                const VecD share = at_most(at_least(pivot * step.inverses[q], VecD{}), one);
                trace += select(step.null[q], one - scale, share);
                determinant.multiply(step.pivots[q]);
            }
        }
        downdate(block, left, right);
    }
    const VecD rest = static_cast<double>(band.size) - trace;
    return {determinant.log(), shift_is_large ? trace : rest, shift_is_large ? rest : trace};
}

}  // namespace TK_ISA
}  // namespace tk
