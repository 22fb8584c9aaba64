// Counting the distances of all pairs of rows in bins, on a GPU: see kernels/parc_correlation.
#pragma once

#include <cstdint>

namespace tk {

// Rows and columns of a tile of pairs; unit rows come in whole tiles, filled up with zeros.
inline constexpr int kPairTile = 128;
// Features are filled up with zeros to a multiple of this.
inline constexpr int kFeatureStep = 16;
// A cell of the first level is this many keys wide, log2; keys are 0 ... 2^37.
inline constexpr int kCellBits = 26;
inline constexpr int kCells = (1 << (37 - kCellBits)) + 1;
// Of a bin's number, the bits that a counting block tells apart, and on GPUs with less shared memory.
inline constexpr int kCounterBits = 15;
inline constexpr int kFewerCounterBits = 14;
inline constexpr int kMostBinBits = 23;
inline constexpr int kMostRefined = 6;

// Finer bins in place of some bins of the level above.
struct RefinedLevel {
    const int32_t* cell_of;  // for each bin above its cell, or -1
    const int64_t* start;    // first key of each cell
    const int32_t* shift;    // log2 of the width of its bins
    int bits;                // log2 of the number of its bins
};

struct KeyLevels {
    const int32_t* cells;  // (kCells, 2): first bin and log2 of the bins' width
    int n_refined;
    RefinedLevel refined[kMostRefined];
};

struct CountPairsArgs {
    const double *rows, *columns;  // unit rows, whole tiles of them
    const int64_t *row_codes, *column_codes;
    int64_t n_rows, n_columns;  // those that exist
    int64_t depth;              // features, a multiple of kFeatureStep
    bool diagonal;              // columns are the rows: pairs i < j only
    KeyLevels levels;
    int bin_bits;                // log2 of the number of bins of the last level
    int64_t chunk_tiles;         // tiles that are sorted before they are counted
    uint16_t* entries;           // chunk_tiles * kPairTile * kPairTile
    uint16_t* starts;            // chunk_tiles * (digits + 1), see digit_count
    unsigned long long* counts;  // (2, bins): of different class, of the same; added to
    void* stream;
};

// Parts that a tile's pairs are sorted into.
int digit_count(int bin_bits);

void count_pairs(const CountPairsArgs& args);

}  // namespace tk
