// Tiles of X^T Y for features X and Y of the same samples: FP64 tensor-core products.
//
// A block of eight warps multiplies tiles of 128 x 128, a warp 64 x 32 of each. A step of 16 samples
// is read in the features' own type, converted, shifted and weighted on the way to shared memory,
// while the products of the step before run. Each half of a step's products covers the reading of one
// operand of the next step, so that a thread holds no more than eight features at a time.
//
// What that takes of a multiprocessor of compute capability 9.0, whose tensor cores do 128 FMA a
// cycle, so that a step takes 2048 cycles at best:
//  - shared memory: 24 doubles a lane for 16 products of 16 x 8 x 8, which is 6 KiB for 512 cycles of
//    one of the four schedulers, or 48 bytes a cycle of 128; the conversions store 16 more;
//  - memory: 256 features a sample for 128 cycles, 8 bytes a cycle in float32, mostly from L2, as
//    all blocks go through the samples at one pace; a read may take 1000 cycles unnoticed;
//  - issue: some 350 instructions a warp and step, two warps a scheduler, a third of the cycles;
//  - registers: 128 of 255 hold the tile's sums, so that one block runs at a time.
#pragma once

#include "device.cuh"

namespace tk {

constexpr int kTile = 128;
constexpr int kDepth = 16;
constexpr int kFeatureThreads = 256;
// Samples lie four banks of eight bytes apart: a half-warp reads four of them at four features.
constexpr int kPitch = kTile + 4;
constexpr int kPanel = kDepth * kPitch;
// Two operands, twice, and their shifts.
constexpr size_t kFeatureSharedBytes = (4 * kPanel + 2 * kTile) * sizeof(double);

template <class T>
struct FeatureView {
    const T* x;
    int64_t n, d, row_stride, col_stride;
    const double* weights;
    const double* shift;
};

// A thread's sums of a tile: four products of 16 x 8 down, four to the right.
constexpr int kSums = kTile * kTile / kFeatureThreads;
struct Sums {
    double of[4][4][4];

    __device__ __forceinline__ double& operator[](int i) { return of[i / 16][i / 4 % 4][i % 4]; }
    __device__ __forceinline__ double operator[](int i) const {
        return of[i / 16][i / 4 % 4][i % 4];
    }
};

// Where a thread's sum of that number lies in the tile.
struct TilePlace {
    int row, column;
};
__device__ __forceinline__ TilePlace place_of_sum(int thread, int number) {
    const int lane = thread % 32, warp = thread / 32;
    const int within = number % 4, right = number / 4 % 4, down = number / 16;
    return {warp % 2 * 64 + down * 16 + within / 2 * 8 + lane / 4,
            warp / 2 * 32 + right * 8 + lane % 4 * 2 + within % 2};
}

// The first sample and feature that a thread reads of a step: neighbouring threads read neighbouring
// features, or blocks of 4 samples x 8 features where samples are closer in memory.
struct StepPlace {
    int sample, feature;
};
__device__ __forceinline__ StepPlace step_place(bool along_features) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    if (along_features) return {thread / 64, thread % 64};
    return {lane % 4, warp * 8 + lane / 4};
}

__host__ __device__ constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Reads one operand's part of a step: in a thread four samples, four apart, of two features, 64 apart.
// Features past the last one are read as the last one; their sums are not kept.
template <class T, bool kShifted>
class StepReader {
public:
    // For the samples from `first` on of the features from `column` on. shifts: kTile doubles of
    // shared memory, there after the next barrier.
    __device__ __forceinline__ StepReader(const FeatureView<T>& input, StepPlace place,
                                          int64_t first, int64_t column, double* shifts)
        : place_(place), row_stride_(input.row_stride), shifts_(shifts) {
        const int64_t last = input.d - 1 - column;
        const int64_t feature = smaller(place.feature, last);
        from_ = input.x + (first + place.sample) * input.row_stride +
                (column + feature) * input.col_stride;
        other_ = (smaller(place.feature + 64, last) - feature) * input.col_stride;
        for (int i = static_cast<int>(threadIdx.x); i < kTile; i += kFeatureThreads)
            shifts[i] = kShifted ? input.shift[column + smaller(i, last)] : 0.0;
    }

    // Reads the next step. Where there is no sample, some finite values remain.
    __device__ __forceinline__ void fetch(const bool (&exists)[4]) {
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (exists[j]) {
                values_[0][j] = from_[4 * j * row_stride_];
                values_[1][j] = from_[4 * j * row_stride_ + other_];
            }
        from_ += kDepth * row_stride_;
    }

    // Stores what was read, less the shift and times the weights, if any, as a panel of doubles.
    __device__ __forceinline__ void store(double* panel, const double* weights) const {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int feature = place_.feature + 64 * half;
            const double shift = shifts_[feature];
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const double z = to_double(values_[half][j]) - shift;
                panel[(place_.sample + 4 * j) * kPitch + feature] = weights ? z * weights[j] : z;
            }
        }
    }

private:
    StepPlace place_;
    const T* from_;
    int64_t row_stride_, other_;
    const double* shifts_;
    T values_[2][4] = {};
};

// sums += left^T right over eight samples of panels in shared memory.
__device__ __forceinline__ void multiply_half(const double* left, const double* right, Sums& sums) {
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
                             left[16 * i + 4 * kPitch + 8]};
#pragma unroll
        for (int j = 0; j < 4; ++j) mma_m16n8k8_f64(sums.of[i][j], a, b[j]);
    }
}

// The products of one tile over the samples [first, last), of which there is one at least: the left
// input's features from `row` on with the right one's from `column` on. Shifted, if at all, are both;
// weights are the left one's.
template <bool kWeightedAndShifted, class T, class U>
__device__ __forceinline__ void multiply_tile(const FeatureView<T>& input,
                                              const FeatureView<U>& other, StepPlace step,
                                              double* panels, int64_t row, int64_t column,
                                              int64_t first, int64_t last, Sums& sums) {
    double* const shifts = panels + 4 * kPanel;
    StepReader<T, kWeightedAndShifted> left(input, step, first, row, shifts);
    StepReader<U, kWeightedAndShifted> right(other, step, first, column, shifts + kTile);
    int64_t sample = first + step.sample;
    bool exists[4];
    double weights[4];  // zero where there is no sample
    const auto fetch_left = [&] {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            exists[j] = sample + 4 * j < last;
            weights[j] = !exists[j]            ? 0.0
                         : kWeightedAndShifted ? input.weights[sample + 4 * j]
                                               : 1.0;
        }
        sample += kDepth;
        left.fetch(exists);
    };

    double* now = panels;
    double* next = panels + 2 * kPanel;
    fetch_left();
    __syncthreads();
    left.store(now, weights);
    right.fetch(exists);
    right.store(now + kPanel, nullptr);
    fetch_left();
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = 0.0;
    for (int64_t done = first; done < last; done += kDepth) {
        multiply_half(now, now + kPanel, sums);
        left.store(next, weights);
        right.fetch(exists);
        multiply_half(now + 8 * kPitch, now + kPanel + 8 * kPitch, sums);
        right.store(next + kPanel, nullptr);
        fetch_left();
        __syncthreads();
        double* const before = now;
        now = next;
        next = before;
    }
}

}  // namespace tk
