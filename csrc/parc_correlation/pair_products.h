// Correlations of all pairs of packed rows, tile by tile in registers: no n x n matrix.
//
// Every product is summed over the features in their order with one accumulator, whatever tile it
// falls in, and is symmetric in its two rows: duplicate rows have bit-equal correlations with all
// others, and the result does not depend on the thread count.
#pragma once

#include "row_panels.h"

namespace tk {
namespace TK_ISA {

constexpr int kTileRows = TK_LANES == 8   ? 8
                          : TK_LANES == 4 ? 4
                                          : 3;  // of registers, divides kPanel
constexpr int kBlockPanels = 120 / kPanel;      // of the outer caches
constexpr int kBlock = kBlockPanels * kPanel;
constexpr int64_t kDepth = 1536 / kPanel;  // features a panel slice of 12 KiB holds, for L1

// Distances 1 - r in units of 2^-36, as the contract compares them: doubles in [2^16, 2^17) are
// multiples of that, so adding 2^16 rounds and the mantissa is the key, 0 ... 2^37.
constexpr int kKeyBits = 37;
TK_INLINE VecI distance_keys(VecD correlation) {
    return (VecI)(broadcast(65537.0) - correlation) - (VecI)broadcast(65536.0);
}

struct RegisterTile {
    VecD sum[kTileRows][kPanelVectors];
};

// The words of one register tile, which go to the sink while the next tile is multiplied: the one
// keeps the integer units busy, the other the floating-point units.
constexpr int kTileWords = kTileRows * kPanel;
constexpr int kWordsPerStep = (kTileWords + 23) / 24;

struct Pending {
    uint64_t words[kTileWords];
    int count = 0;
};

// Base of sinks that need registers of their own: these take(words, count) once the next tile is done.
struct TileSink {};

TK_INLINE RegisterTile empty_tile() {
    RegisterTile tile;
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < kPanelVectors; ++v) tile.sum[r][v] = VecD{};
    return tile;
}

TK_INLINE void multiply_step(RegisterTile& tile, const double* rows, const double* cols) {
    VecD b[kPanelVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPanelVectors; ++v) b[v] = load(cols + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r) {
        const VecD a = broadcast(rows[r]);
#pragma GCC unroll 8
        for (int v = 0; v < kPanelVectors; ++v) tile.sum[r][v] += a * b[v];
    }
}

// Words of a tile's pairs: twice the distance keys.
TK_INLINE void tile_words(const RegisterTile& tile, uint64_t* words) {
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 8
        for (int v = 0; v < kPanelVectors; ++v) {
            const VecI key = distance_keys(tile.sum[r][v]), word = key + key;
            __builtin_memcpy(words + r * kPanel + v * kLanes, &word, sizeof word);
        }
}

template <class Sink>
TK_INLINE void drain(Pending& pending, int from, Sink& sink) {
    if constexpr (__is_base_of(TileSink, Sink)) {
        sink.take(pending.words, pending.count);
    } else {
        for (int w = from; w < pending.count; ++w) sink.push(pending.words[w]);
        sink.settle();
    }
    pending.count = 0;
}

// tile += rows x cols, pushing the pending words on the way.
template <class Sink>
TK_INLINE void multiply(RegisterTile& tile, const double* rows, const double* cols, int64_t depth,
                        Pending& pending, Sink& sink) {
    RegisterTile t = tile;
    int64_t both = 0;
    if constexpr (!__is_base_of(TileSink, Sink)) {
        both = pending.count / kWordsPerStep < depth ? pending.count / kWordsPerStep : depth;
        const uint64_t* words = pending.words;
        for (int64_t k = 0; k < both; ++k) {
            multiply_step(t, rows + k * kPanel, cols + k * kPanel);
#pragma GCC unroll 8
            for (int w = 0; w < kWordsPerStep; ++w) sink.push(*words++);
        }
    }
    for (int64_t k = both; k < depth; ++k) multiply_step(t, rows + k * kPanel, cols + k * kPanel);
    tile = t;
    if (pending.count) drain(pending, static_cast<int>(both * kWordsPerStep), sink);
}

// Calls finish(first row, first column, tile, pending) for every register tile of the blocks of panels
// [p0, p1) x [q0, q1), leaving out panels below the diagonal; what it leaves pending goes to the sink.
// `partial` keeps the tiles between slices of features: kBlock * kBlock values.
template <class Sink, class Finish>
static inline void multiply_blocks(const double* row_panels, const double* col_panels, int64_t p0,
                                   int64_t p1, int64_t q0, int64_t q1, int64_t d, double* partial,
                                   Sink& sink, Finish finish) {
    const int64_t size = panel_stride(d);
    Pending pending;
    for (int64_t k = 0; k < d; k += kDepth) {
        const bool last = k + kDepth >= d;
        const int64_t depth = last ? d - k : kDepth;
        for (int64_t p = p0; p < p1; ++p) {
            const double* rows = row_panels + (p - p0) * size + k * kPanel;
            for (int64_t q = q0 > p ? q0 : p; q < q1; ++q) {
                const double* cols = col_panels + (q - q0) * size + k * kPanel;
                double* kept = partial + ((p - p0) * kBlockPanels + (q - q0)) * kPanel * kPanel;
                for (int r = 0; r < kPanel; r += kTileRows, kept += kTileWords) {
                    RegisterTile tile = empty_tile();
                    if (k > 0) __builtin_memcpy(&tile, kept, sizeof tile);
                    multiply(tile, rows + r, cols, depth, pending, sink);
                    if (last)
                        finish(p * kPanel + r, q * kPanel, tile, pending);
                    else
                        __builtin_memcpy(kept, &tile, sizeof tile);
                }
            }
        }
    }
    drain(pending, 0, sink);
}

}  // namespace TK_ISA
}  // namespace tk
