// The register tile of matrix products in float32; layout and operands as in gemm_tile.h.
//
// A panel holds kFloatPanel rows of an operand with the summed index k outermost: element (k, i)
// stands at [k * kFloatPanel + i]. A tile multiplies kFloatTilePanels neighbouring panels, read as
// vectors, with kFloatRows rows of one panel, read as broadcasts.
#pragma once

#include "simd.h"

namespace tk {
namespace TK_ISA {

constexpr int kFloats = 2 * kLanes;
typedef float VecF32 __attribute__((vector_size(8 * TK_LANES)));
typedef float VecF32U __attribute__((vector_size(8 * TK_LANES), aligned(4), may_alias));
typedef int32_t VecI32 __attribute__((vector_size(8 * TK_LANES)));

TK_INLINE VecF32 load_floats(const float* p) { return *reinterpret_cast<const VecF32U*>(p); }
TK_INLINE void store_floats(float* p, VecF32 v) { *reinterpret_cast<VecF32U*>(p) = v; }
TK_INLINE VecF32 broadcast_float(float x) { return x - VecF32{}; }

// Whether any lane of a comparison's result is true.
TK_INLINE bool any_true(VecI32 mask) {
    typedef int64_t Wide __attribute__((vector_size(8 * TK_LANES)));
    const Wide wide = (Wide)mask;
    int64_t found = wide[0];
    for (int lane = 1; lane < kLanes; ++lane) found |= wide[lane];
    return found != 0;
}

constexpr int kFloatPanel = kFloats;
#if defined(__x86_64__) && TK_LANES == 2
constexpr int kFloatTilePanels = 2, kFloatRows = 4;  // 8 of 16 registers, no fused multiply-add
#elif TK_LANES == 8
constexpr int kFloatTilePanels = 3, kFloatRows = 8;  // 24 of 32
#else
constexpr int kFloatTilePanels = 3, kFloatRows = 4;  // 12 of 16
#endif
constexpr int kFloatTileWidth = kFloatTilePanels * kFloatPanel;
static_assert(kFloatPanel % kFloatRows == 0, "whole tiles");

struct FloatTile {
    VecF32 at[kFloatRows][kFloatTilePanels];
};

// `columns` starts kFloatTilePanels panels at a distance of `panel_stride`; `rows` is in a panel.
TK_INLINE FloatTile float_tile_product(const float* columns, int64_t panel_stride,
                                       const float* rows, int64_t depth) {
    FloatTile sum = {};
    for (int64_t k = 0; k < depth; ++k) {
        VecF32 column[kFloatTilePanels];
#pragma GCC unroll 8
        for (int v = 0; v < kFloatTilePanels; ++v)
            column[v] = load_floats(columns + v * panel_stride);
#pragma GCC unroll 8
        for (int r = 0; r < kFloatRows; ++r) {
            const VecF32 row = broadcast_float(rows[r]);
#pragma GCC unroll 8
            for (int v = 0; v < kFloatTilePanels; ++v) sum.at[r][v] += row * column[v];
        }
        columns += kFloatPanel;
        rows += kFloatPanel;
    }
    return sum;
}

}  // namespace TK_ISA
}  // namespace tk
