// Sums of products of square tiles, C plus or minus the sum of A_s B_s.
#pragma once

#include "simd.h"

namespace tk {
namespace TK_ISA {

// A multiple of the register block's rows and columns.
constexpr int64_t kTile = kLanes == 8 ? 16 : 12;
constexpr int64_t kTileSize = kTile * kTile;
constexpr int64_t kCacheLine = 8;  // doubles
#if defined(__x86_64__) && TK_LANES == 2
constexpr int kProductRows = 4, kProductVectors = 2;  // no fused multiply-add
#else
constexpr int kProductRows = kLanes;
constexpr int kProductVectors = kLanes == 8 ? 2 : 3;  // 16 of 32 registers, 12 of 16
#endif
constexpr int64_t kProductColumns = kProductVectors * kLanes;
static_assert(kTile % kProductRows == 0 && kTile % kProductColumns == 0, "whole register blocks");

// Tiles at a distance of `step`, then step + growth, and so on; element (i, k) of one stands at
// [i * row + k * column].
struct TileRun {
    const double* first;
    int64_t step, growth, row, column;

    const double* at(int64_t s) const { return first + s * step + s * (s - 1) / 2 * growth; }
};

// A tile's own layout, and that of its transpose.
TK_INLINE TileRun run_of(const double* first, int64_t step, int64_t growth = 0) {
    return {first, step, growth, kTile, 1};
}
TK_INLINE TileRun transposes_of(const double* first, int64_t step) {
    return {first, step, 0, 1, kTile};
}

// Rows i ... and columns j ... of C, by the tiles first ... first + count - 1.
template <int Sign>
TK_INLINE void register_block(double* C, int64_t c_row, const TileRun& a, const TileRun& b,
                              int64_t i, int64_t j, int64_t first, int64_t count) {
    VecD sums[kProductRows][kProductVectors] = {};
    for (int64_t s = first; s < first + count; ++s) {
        const double* column = a.at(s) + i * a.row;
        const double* row = b.at(s) + j;
        for (int64_t k = 0; k < kTile; ++k) {
            VecD right[kProductVectors];
#pragma GCC unroll 8
            for (int v = 0; v < kProductVectors; ++v) right[v] = load(row + v * kLanes);
#pragma GCC unroll 8
            for (int r = 0; r < kProductRows; ++r) {
                const VecD left = broadcast(column[r * a.row]);
#pragma GCC unroll 8
                for (int v = 0; v < kProductVectors; ++v) sums[r][v] += left * right[v];
            }
            column += a.column;
            row += b.row;
        }
    }
    for (int r = 0; r < kProductRows; ++r)
        for (int v = 0; v < kProductVectors; ++v) {
            double* c = C + (i + r) * c_row + j + v * kLanes;
            store(c, Sign > 0 ? load(c) + sums[r][v] : load(c) - sums[r][v]);
        }
}

// C has kTile rows of `columns` elements, a multiple of kProductColumns; the tiles of `b` have
// contiguous rows (column = 1).
template <int Sign>
static void add_products(double* C, int64_t columns, TileRun a, TileRun b, int64_t count) {
    constexpr int64_t kAtOnce = 4;  // tiles that stay in the L1 cache
    for (int64_t s = 0; s < count; s += kAtOnce) {
        const int64_t n = count - s < kAtOnce ? count - s : kAtOnce;
        for (int64_t next = s + n; next < s + n + kAtOnce && next < count; ++next)
            for (int64_t k = 0; k < kTileSize; k += kCacheLine)
                __builtin_prefetch(a.at(next) + k, 0, 2);
        for (int64_t j = 0; j < columns; j += kProductColumns)
            for (int64_t i = 0; i < kTile; i += kProductRows)
                register_block<Sign>(C, columns, a, b, i, j, s, n);
    }
}

}  // namespace TK_ISA
}  // namespace tk
