// Who multiplies what: the tiles of a symmetric product's upper triangle, shared out evenly.
//
// Every block first multiplies whole tiles, as many as there are for all blocks alike, over all
// steps of the sum. The steps of the remaining tiles are laid end to end and cut into one range for
// each block. Ranges are no longer than a tile, so that a block has part in two remaining tiles at
// most; the parts are added in the order of the blocks.
#pragma once

#include <cstdint>

#include "device.h"

namespace tk {

struct TriangleSchedule {
    int64_t steps;   // of each tile
    int64_t blocks;  // that share the work
    int64_t rounds;  // of whole tiles, one for each block
    int64_t rest;    // remaining tiles

    // A tile's place in the triangle, row <= column, numbered along the columns.
    struct Place {
        int64_t row, column;
    };

    // A part of a remaining tile.
    struct Part {
        int64_t tile;  // numbered among the remaining ones
        int64_t first, last;
    };

    static TriangleSchedule make(int64_t side, int64_t steps, int64_t most_blocks,
                                 int64_t least_steps) {
        const int64_t tiles = side * (side + 1) / 2;
        const int64_t useful = (tiles * steps + least_steps - 1) / least_steps;
        const int64_t blocks = useful < most_blocks ? useful : most_blocks;
        return {steps, blocks, tiles / blocks, tiles % blocks};
    }

    static __host__ __device__ Place place(int64_t tile) {
        int64_t column = static_cast<int64_t>((sqrt(8.0 * static_cast<double>(tile) + 1.0) - 1.0) / 2.0);
        while (column * (column + 1) / 2 > tile) --column;
        while ((column + 1) * (column + 2) / 2 <= tile) ++column;
        return {tile - column * (column + 1) / 2, column};
    }

    __host__ __device__ int64_t whole_tile(int64_t round, int64_t block) const {
        return round * blocks + block;
    }

    __host__ __device__ int64_t rest_tile(int64_t tile) const { return rounds * blocks + tile; }

    // Where a block's range begins among the steps of all remaining tiles.
    __host__ __device__ int64_t range_begin(int64_t block) const {
        return rest * steps * block / blocks;
    }

    // The block whose range holds that step.
    __host__ __device__ int64_t block_of(int64_t step) const {
        return ((step + 1) * blocks - 1) / (rest * steps);
    }

    // A block's part number 0 or 1; first == last when there is none.
    __host__ __device__ Part part(int64_t block, int number) const {
        int64_t begin = range_begin(block);
        const int64_t end = range_begin(block + 1);
        if (begin == end) return {0, 0, 0};
        const int64_t tile = begin / steps + number;
        if (number > 0) begin = tile * steps;
        const int64_t tile_end = (tile + 1) * steps;
        if (begin >= end) return {tile, 0, 0};
        return {tile, begin - tile * steps, (end < tile_end ? end : tile_end) - tile * steps};
    }

    // The blocks that have part in a remaining tile are first_block(tile) to last_block(tile).
    __host__ __device__ int64_t first_block(int64_t tile) const { return block_of(tile * steps); }
    __host__ __device__ int64_t last_block(int64_t tile) const {
        return block_of((tile + 1) * steps - 1);
    }

    // Where a part is kept. Along the blocks the sum grows with every part.
    __host__ __device__ int64_t slot(int64_t block, int64_t tile) const { return block + tile; }
    __host__ __device__ int64_t slots() const { return rest > 0 ? blocks + rest - 1 : 0; }
};

}  // namespace tk
