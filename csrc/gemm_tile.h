// The register tile of every matrix product: a sum of outer products of packed panels.
//
// A panel holds kPanel columns of an operand with the summed index k outermost: element (k, i) stands
// at [k * kPanel + i]. A tile multiplies kTilePanels neighbouring panels, read as vectors, with one
// panel, read as broadcasts; any panel can take either part.
#pragma once

#include "simd.h"

namespace tk {
namespace TK_ISA {

constexpr int kPanel = kLanes < 4 ? 4 : kLanes;
// As many accumulators as the registers hold: 24 of 32, 12 of 16, or 8 of 16 without fused
// multiply-add, where each product needs a register of its own.
#if defined(__x86_64__) && TK_LANES == 2
constexpr int kTilePanels = 1;
#else
constexpr int kTilePanels = 3;
#endif
constexpr int kTileWidth = kTilePanels * kPanel;
constexpr int kTileVectors = kTileWidth / kLanes;
constexpr int kCacheLine = 8;  // doubles
// Length of the summed index that is packed at once: long enough that adding the tiles up costs
// little, short enough that a panel stays in the first-level cache.
constexpr int64_t kDepth = kLanes == 8 ? 384 : 256;
// A cache line more than the data: otherwise all panels' rows would fall into the same few sets.
constexpr int64_t kPanelStride = kDepth * kPanel + kCacheLine;

// kPanel rows (the broadcast operand) of kTileWidth columns (the vector operand).
struct Tile {
    VecD at[kPanel][kTileVectors];
};

// `columns` starts kTilePanels panels, `rows` one.
TK_INLINE Tile tile_product(const double* columns, const double* rows, int64_t depth) {
    Tile sum = {};
    for (int64_t k = 0; k < depth; ++k) {
        VecD column[kTileVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kTileVectors; ++v) {
            constexpr int kPerPanel = kPanel / kLanes;
            column[v] = load(columns + (v / kPerPanel) * kPanelStride + (v % kPerPanel) * kLanes);
        }
#pragma GCC unroll 8
        for (int r = 0; r < kPanel; ++r) {
            const VecD row = broadcast(rows[r]);
#pragma GCC unroll 8
            for (int v = 0; v < kTileVectors; ++v) sum.at[r][v] += row * column[v];
        }
        columns += kPanel;
        rows += kPanel;
    }
    return sum;
}

}  // namespace TK_ISA
}  // namespace tk
