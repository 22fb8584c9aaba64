// Sums of products of square tiles, C plus or minus the sum of A_s B_s.
#pragma once

#include "common/simd.h"

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

// Tiles at a distance of `step`; element (i, k) of one stands at [i * Row + k * Column]. The
// distances in a tile are constants, so that the addresses take no instructions.
template <int64_t Row, int64_t Column>
struct TileRun {
    static constexpr int64_t kRow = Row, kColumn = Column;
    const double* first;
    int64_t step;

    const double* at(int64_t s) const { return first + s * step; }
};

// A tile's own layout, and that of its transpose; those of kTile rows of kProductColumns.
using Tiles = TileRun<kTile, 1>;
using TransposedTiles = TileRun<1, kTile>;
using Slabs = TileRun<kProductColumns, 1>;

// Fetches into the cache the tiles that are `ahead` of those it goes through.
struct LeadingTiles : TransposedTiles {
    int64_t ahead;
};

template <class Run>
TK_INLINE void prefetch(const Run&, int64_t, int64_t) {}
TK_INLINE void prefetch(const LeadingTiles& tiles, int64_t s, int64_t i) {
    const double* rows = tiles.at(s) + i * kTile + tiles.ahead;
#pragma GCC unroll 16
    for (int64_t k = 0; k < kProductRows * kTile; k += kCacheLine)
        __builtin_prefetch(rows + k, 0, 3);
}

// Rows i ... and columns j ... of C, by the tiles first ... first + count - 1.
template <int Sign, class A, class B>
TK_INLINE void register_block(double* C, const A& a, const B& b, int64_t i, int64_t j,
                              int64_t first, int64_t count) {
    VecD sums[kProductRows][kProductVectors] = {};
    for (int64_t s = first; s < first + count; ++s) {
        prefetch(a, s, i);
        const double* left = a.at(s) + i * A::kRow;
        const double* right = b.at(s) + j;
#pragma GCC unroll 2  // more makes GCC keep a register for every address
        for (int64_t k = 0; k < kTile; ++k) {
            VecD row[kProductVectors];
#pragma GCC unroll 8
            for (int v = 0; v < kProductVectors; ++v)
                row[v] = load(right + k * B::kRow + v * kLanes);
#pragma GCC unroll 8
            for (int r = 0; r < kProductRows; ++r) {
                const VecD element = broadcast(left[r * A::kRow + k * A::kColumn]);
#pragma GCC unroll 8
                for (int v = 0; v < kProductVectors; ++v) sums[r][v] += element * row[v];
            }
        }
    }
    for (int r = 0; r < kProductRows; ++r)
        for (int v = 0; v < kProductVectors; ++v) {
            double* c = C + (i + r) * B::kRow + j + v * kLanes;
            store(c, Sign > 0 ? load(c) + sums[r][v] : load(c) - sums[r][v]);
        }
}

// C is laid out like the tiles of `b`, which have contiguous rows.
template <int Sign, class A, class B>
static void add_products(double* C, A a, B b, int64_t count) {
    constexpr int64_t kAtOnce = 4;  // tiles that stay in the L1 cache
    for (int64_t s = 0; s < count; s += kAtOnce) {
        const int64_t n = count - s < kAtOnce ? count - s : kAtOnce;
        for (int64_t j = 0; j < B::kRow; j += kProductColumns)
            for (int64_t i = 0; i < kTile; i += kProductRows)
                register_block<Sign>(C, a, b, i, j, s, n);
    }
}

}  // namespace TK_ISA
}  // namespace tk
