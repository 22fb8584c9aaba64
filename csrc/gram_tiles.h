// Kernels of the Gram matrix: FP64 tensor-core products of the shifted, weighted features.
//
// A block of eight warps multiplies tiles of 128 x 128, a warp 64 x 32 of each. A step of 16 samples
// is read in the features' own type, converted, shifted and weighted on the way to shared memory,
// while the products of the step before run: its loads are issued one step ahead and stored between
// the two halves of the products.
//
// What that takes of a multiprocessor of compute capability 9.0, whose tensor cores do 128 FMA a
// cycle, so that a step takes 2048 cycles at best:
//  - shared memory: 24 doubles a lane for 16 products of 16 x 8 x 8, that is 6 KiB for 512 cycles of
//    one of the four schedulers or 48 bytes a cycle of 128; conversions store 16 more;
//  - memory: 256 features a sample for 128 cycles, 8 bytes a cycle in float32, mostly from L2, as all
//    blocks go through the samples at one pace;
//  - issue: some 16 conversions and stores a thread and step, well below one instruction in eight
//    cycles, beside the products that need one in 32;
//  - registers: 128 of 255 hold the tile, so that one block runs at a time, two warps a scheduler.
// With 5 % for the halves of the tiles on the diagonal that nobody wants and some for barriers, 75 to
// 85 % of the tensor cores' peak in useful products is to be expected: about 4 ms for 50 000 x 2048.
#pragma once

#include "device.h"
#include "triangle_schedule.h"

namespace tk {

constexpr int kTile = 128;
constexpr int kDepth = 16;
constexpr int kGramThreads = 256;
// Four samples apart are four banks of eight bytes apart: a half-warp reads 4 x 4 doubles at once.
constexpr int kPitch = kTile + 4;
constexpr int kPanel = kDepth * kPitch;
constexpr size_t kGramSharedBytes = 4 * kPanel * sizeof(double);  // two operands, twice
constexpr int kSums = kTile * kTile / kGramThreads;               // of a tile, in a thread
constexpr int64_t kTileElements = kTile * kTile;

template <class T>
struct GramInput {
    const T* x;
    int64_t n, d, row_stride, col_stride;
    const double* roots;  // of the weights, or null: all one
    const double* shift;
};

// Where a thread's sum number `sum` lies in the tile.
struct TilePlace {
    int row, column;
};
__device__ __forceinline__ TilePlace place_in_tile(int thread, int sum) {
    const int lane = thread % 32, warp = thread / 32;
    const int within = sum % 4, right = sum / 4 % 4, down = sum / 16;
    return {warp % 2 * 64 + down * 16 + within / 2 * 8 + lane / 4,
            warp / 2 * 32 + right * 8 + lane % 4 * 2 + within % 2};
}

// The part of a step that one thread reads: four samples, four apart, of two features, 64 apart, of
// either operand.
template <class T>
class StepReader {
public:
    __device__ __forceinline__ StepReader(const GramInput<T>& input, bool along_columns)
        : input_(input) {
        const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
        sample_ = along_columns ? thread / 64 : lane % 4;
        feature_ = along_columns ? thread % 64 : warp * 8 + lane / 4;
    }

    // Turns to the samples [first, last) of the tile's features.
    __device__ __forceinline__ void begin(int64_t first, int64_t last, int64_t left, int64_t right) {
        row_ = first + sample_;
        last_ = last;
        same_ = left == right;
        for (int operand = 0; operand < 2; ++operand) {
            const int64_t column = (operand ? right : left) + feature_;
            from_[operand] = input_.x + row_ * input_.row_stride + column * input_.col_stride;
            for (int half = 0; half < 2; ++half) {
                exists_[operand][half] = column + 64 * half < input_.d;
                shift_[operand][half] =
                    exists_[operand][half] ? input_.shift[column + 64 * half] : 0.0;
            }
        }
    }

    // Reads the next step; past the last sample nothing.
    __device__ __forceinline__ void fetch() {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const bool sample_exists = row_ + 4 * j < last_;
            roots_[j] = !sample_exists ? 0.0 : input_.roots ? input_.roots[row_ + 4 * j] : 1.0;
#pragma unroll
            for (int operand = 0; operand < 2; ++operand)
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    values_[operand][half][j] = T{};
                    if (sample_exists && exists_[operand][half] && !(operand == 1 && same_))
                        values_[operand][half][j] = from_[operand][4 * j * input_.row_stride +
                                                                   64 * half * input_.col_stride];
                }
        }
        row_ += kDepth;
        from_[0] += kDepth * input_.row_stride;
        from_[1] += kDepth * input_.row_stride;
    }

    // Stores what was read as panels of doubles, the right one behind the left one.
    __device__ __forceinline__ void store(double* panels) const {
        double* const to = panels + sample_ * kPitch + feature_;
#pragma unroll
        for (int operand = 0; operand < 2; ++operand) {
            if (operand == 1 && same_) return;
#pragma unroll
            for (int half = 0; half < 2; ++half)
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    to[operand * kPanel + 4 * j * kPitch + 64 * half] =
                        (to_double(values_[operand][half][j]) - shift_[operand][half]) * roots_[j];
        }
    }

private:
    const GramInput<T>& input_;
    int sample_, feature_;
    int64_t row_ = 0, last_ = 0;
    bool same_ = false;
    const T* from_[2] = {};
    bool exists_[2][2] = {};
    double shift_[2][2] = {};
    double roots_[4] = {};
    T values_[2][2][4] = {};
};

// sums += left^T right over half a step, from panels in shared memory.
__device__ __forceinline__ void multiply_half(const double* left, const double* right,
                                              double (&sums)[kSums / 16][4][4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int from = lane % 4 * kPitch + lane / 4;
    left += from + warp % 2 * 64;
    right += from + warp / 2 * 32;
    double b[4][2];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        b[j][0] = right[8 * j];
        b[j][1] = right[8 * j + 4 * kPitch];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const double a[4] = {left[16 * i], left[16 * i + 8], left[16 * i + 4 * kPitch],
                             left[16 * i + 8 + 4 * kPitch]};
#pragma unroll
        for (int j = 0; j < 4; ++j) mma_m16n8k8_f64(sums[i][j], a, b[j]);
    }
}

// One tile's products over the samples [first, last).
template <class T>
__device__ __forceinline__ void multiply_tile(StepReader<T>& reader, double* panels, int64_t first,
                                              int64_t last, TriangleSchedule::Place place,
                                              double (&sums)[kSums / 16][4][4]) {
#pragma unroll
    for (int sum = 0; sum < kSums; ++sum) sums[sum / 16][sum / 4 % 4][sum % 4] = 0.0;
    reader.begin(first, last, place.row * kTile, place.column * kTile);
    const int right = place.row == place.column ? 0 : kPanel;
    reader.fetch();
    __syncthreads();  // the panels may still be read for the tile before
    reader.store(panels);
    reader.fetch();
    __syncthreads();
    int now = 0;
    for (int64_t sample = first; sample < last; sample += kDepth) {
        const double* const left = panels + now * 2 * kPanel;
        multiply_half(left, left + right, sums);
        now ^= 1;
        reader.store(panels + now * 2 * kPanel);
        reader.fetch();
        multiply_half(left + 8 * kPitch, left + 8 * kPitch + right, sums);
        __syncthreads();
    }
}

template <class T>
__global__ void __launch_bounds__(kGramThreads, 1)
    multiply_tiles(GramInput<T> input, TriangleSchedule schedule, bool along_columns,
                   double* parts, double* gram) {
    TK_DYNAMIC_SHARED(double, panels);
    const int64_t block = blockIdx.x;
    const int thread = static_cast<int>(threadIdx.x);
    StepReader<T> reader(input, along_columns);
    double sums[kSums / 16][4][4];
    for (int64_t round = 0; round < schedule.rounds; ++round) {
        const auto place = schedule.place(schedule.whole_tile(round, block));
        multiply_tile(reader, panels, 0, input.n, place, sums);
#pragma unroll
        for (int sum = 0; sum < kSums; ++sum) {
            const TilePlace within = place_in_tile(thread, sum);
            const int64_t row = place.row * kTile + within.row;
            const int64_t column = place.column * kTile + within.column;
            if (row < input.d && column < input.d)
                gram[row * input.d + column] = sums[sum / 16][sum / 4 % 4][sum % 4];
        }
    }
    for (int number = 0; number < 2; ++number) {
        const auto part = schedule.part(block, number);
        if (part.first == part.last) continue;
        const int64_t last = part.last * kDepth;
        multiply_tile(reader, panels, part.first * kDepth, last < input.n ? last : input.n,
                      schedule.place(schedule.rest_tile(part.tile)), sums);
        double* const to = parts + schedule.slot(block, part.tile) * kTileElements + thread;
#pragma unroll
        for (int sum = 0; sum < kSums; ++sum)
            to[sum * kGramThreads] = sums[sum / 16][sum / 4 % 4][sum % 4];
    }
}

// Adds the parts of the remaining tiles: block (sum, tile) the sums of that number.
static __global__ void __launch_bounds__(kGramThreads)
    add_parts(TriangleSchedule schedule, const double* parts, int64_t d, double* gram) {
    const int sum = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
    const int64_t tile = blockIdx.y;
    const int64_t last = schedule.last_block(tile);
    double total = 0.0;
#pragma unroll 8
    for (int64_t block = schedule.first_block(tile); block <= last; ++block)
        total += parts[schedule.slot(block, tile) * kTileElements + sum * kGramThreads + thread];
    const auto place = TriangleSchedule::place(schedule.rest_tile(tile));
    const TilePlace within = place_in_tile(thread, sum);
    const int64_t row = place.row * kTile + within.row;
    const int64_t column = place.column * kTile + within.column;
    if (row < d && column < d) gram[row * d + column] = total;
}

}  // namespace tk
