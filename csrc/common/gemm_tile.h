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
constexpr int64_t kTileSize = kPanel * kTileWidth;
constexpr int kCacheLine = 8;  // doubles
// Length of the summed index that is packed at once: long enough that adding the tiles up costs
// little, short enough that a panel stays in the first-level cache.
constexpr int64_t kDepth = 384;
// A cache line more than the data: otherwise all panels' rows would fall into the same few sets.
constexpr int64_t kPanelStride = kDepth * kPanel + kCacheLine;

// kPanel rows (the broadcast operand) of kTileWidth columns (the vector operand).
struct Tile {
    VecD at[kPanel][kTileVectors];
};

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__) && TK_LANES == 4
#define TK_ASSEMBLY_TILE

// The loop in assembly: twelve of the sixteen registers hold the sums, and compilers that unroll it
// move or spill them. Unrolled, a step is 19 instructions for its 12 fused multiply-adds instead of
// 24, which counts where hardware threads share a core's front end.
constexpr int64_t kTurnSteps = 8;

// As tile_product, over kTurnSteps * turns steps; `turns` is positive.
TK_INLINE Tile assembly_tile_product(const double* columns, const double* rows, int64_t turns) {
    static_assert(kPanel == 4 && kTileVectors == 3, "the registers below");
    Tile sum;
    VecD column0, column1, column2, row;
#define TK_ROW(r, s0, s1, s2)                \
    "vbroadcastsd tk_step + 8 * " #r         \
    "(%[rows]), %[row]\n"                    \
    "vfmadd231pd %[column0], %[row], %[" #s0 \
    "]\n"                                    \
    "vfmadd231pd %[column1], %[row], %[" #s1 \
    "]\n"                                    \
    "vfmadd231pd %[column2], %[row], %[" #s2 "]\n"
    asm(".irp sum, %[s0], %[s1], %[s2], %[s3], %[s4], %[s5], %[s6], %[s7], %[s8], %[s9], %[s10], "
        "%[s11]\n"
        "vxorpd \\sum, \\sum, \\sum\n"
        ".endr\n"
        ".p2align 5\n"
        "1:\n"
        ".set tk_step, 0\n"
        ".rept %c[steps]\n"
        "vmovupd tk_step(%[columns]), %[column0]\n"
        "vmovupd tk_step + %c[panel](%[columns]), %[column1]\n"
        "vmovupd tk_step + 2 * %c[panel](%[columns]), %[column2]\n"
        TK_ROW(0, s0, s1, s2)
        TK_ROW(1, s3, s4, s5)
        TK_ROW(2, s6, s7, s8)
        TK_ROW(3, s9, s10, s11)
        ".set tk_step, tk_step + 32\n"
        ".endr\n"
        "add $tk_step, %[columns]\n"
        "add $tk_step, %[rows]\n"
        "dec %[turns]\n"
        "jnz 1b\n"
        : [columns] "+r"(columns), [rows] "+r"(rows), [turns] "+r"(turns),
          [column0] "=&x"(column0), [column1] "=&x"(column1), [column2] "=&x"(column2),
          [row] "=&x"(row), [s0] "=&x"(sum.at[0][0]), [s1] "=&x"(sum.at[0][1]),
          [s2] "=&x"(sum.at[0][2]), [s3] "=&x"(sum.at[1][0]), [s4] "=&x"(sum.at[1][1]),
          [s5] "=&x"(sum.at[1][2]), [s6] "=&x"(sum.at[2][0]), [s7] "=&x"(sum.at[2][1]),
          [s8] "=&x"(sum.at[2][2]), [s9] "=&x"(sum.at[3][0]), [s10] "=&x"(sum.at[3][1]),
          [s11] "=&x"(sum.at[3][2])
        : [steps] "i"(kTurnSteps), [panel] "i"(8 * kPanelStride)
        : "memory", "cc");
#undef TK_ROW
    return sum;
}
#endif

// One step of the sum.
TK_INLINE void add_product(Tile& sum, const double* columns, const double* rows) {
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
}

// `columns` starts kTilePanels panels, `rows` one.
TK_INLINE Tile tile_product(const double* columns, const double* rows, int64_t depth) {
    Tile sum = {};
#ifdef TK_ASSEMBLY_TILE
    const int64_t turns = depth / kTurnSteps;
    if (turns > 0) sum = assembly_tile_product(columns, rows, turns);
    columns += turns * kTurnSteps * kPanel;
    rows += turns * kTurnSteps * kPanel;
    depth -= turns * kTurnSteps;
#endif
    for (; depth > 0; --depth) {
        add_product(sum, columns, rows);
        columns += kPanel;
        rows += kPanel;
    }
    return sum;
}

}  // namespace TK_ISA
}  // namespace tk
