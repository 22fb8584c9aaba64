// Who multiplies what: the tiles of a symmetric product's upper triangle, shared out evenly.
//
// Every block first multiplies whole tiles, as many as there are for all blocks alike, over all
// steps of the sum. The steps of the remaining tiles are laid end to end and cut into one range for
// each block. Ranges are no longer than a tile, so that a block has part in two remaining tiles at
// most; the parts are added in the order of the blocks.
#pragma once

#include <cstdint>

#include "device.cuh"

namespace tk {

struct TriangleSchedule {
    int64_t steps;   // of each tile
    int64_t blocks;  // that share the work
    int64_t rounds;  // of whole tiles, one for each block
    int64_t rest;    // remaining tiles

    // A tile's place in the triangle, row <= column.
    struct Place {
        int64_t row, column;
    };

    // What a block does at a time: the steps [first, last) of a tile.
    struct Job {
        Place place;
        int64_t first, last;
        int64_t slot;  // where the part is kept; -1 for a whole tile
    };

    // For `side` tiles along the triangle's sides; blocks that would do less than `least_steps` are
    // left out.
    static TriangleSchedule make(int64_t side, int64_t steps, int64_t most_blocks,
                                 int64_t least_steps) {
        const int64_t tiles = side * (side + 1) / 2;
        const int64_t useful = (tiles * steps + least_steps - 1) / least_steps;
        const int64_t blocks = useful < most_blocks ? useful : most_blocks;
        return {steps, blocks, tiles / blocks, tiles % blocks};
    }

    // Tiles are numbered along the columns of the triangle.
    static __host__ __device__ Place place(int64_t tile) {
        int64_t column = static_cast<int64_t>((sqrt(8.0 * static_cast<double>(tile) + 1.0) - 1.0) /
                                              2.0);
        while (column * (column + 1) / 2 > tile) --column;
        while ((column + 1) * (column + 2) / 2 <= tile) ++column;
        return {tile - column * (column + 1) / 2, column};
    }

    __host__ __device__ int64_t jobs() const { return rest > 0 ? rounds + 2 : rounds; }

    // A block's job of that number, below jobs(); first == last where there is nothing to do.
    __host__ __device__ Job job(int64_t block, int64_t number) const {
        if (number < rounds) return {place(number * blocks + block), 0, steps, -1};
        const int64_t begin = range_begin(block), end = range_begin(block + 1);
        const int64_t tile = begin / steps + (number - rounds);
        const int64_t first = number == rounds ? begin - tile * steps : 0;
        const int64_t last = end - tile * steps < steps ? end - tile * steps : steps;
        if (first >= last) return {{0, 0}, 0, 0, -1};
        return {rest_place(tile), first, last, slot(block, tile)};
    }

    // Of the remaining tile of that number.
    __host__ __device__ Place rest_place(int64_t tile) const {
        return place(rounds * blocks + tile);
    }

    // The blocks that have part in a remaining tile are first_block(tile) to last_block(tile).
    __host__ __device__ int64_t first_block(int64_t tile) const { return block_of(tile * steps); }
    __host__ __device__ int64_t last_block(int64_t tile) const {
        return block_of((tile + 1) * steps - 1);
    }

    // Where a part is kept: along the blocks and tiles the sum grows with every part.
    __host__ __device__ int64_t slot(int64_t block, int64_t tile) const { return block + tile; }
    __host__ __device__ int64_t slots() const { return rest > 0 ? blocks + rest - 1 : 0; }

private:
    // Where a block's range begins among the steps of all remaining tiles.
    __host__ __device__ int64_t range_begin(int64_t block) const {
        return rest * steps * block / blocks;
    }

    // The block whose range holds that step.
    __host__ __device__ int64_t block_of(int64_t step) const {
        return ((step + 1) * blocks - 1) / (rest * steps);
    }
};

}  // namespace tk
