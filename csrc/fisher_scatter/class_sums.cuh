// Kernels of the class sums: samples in the order of their classes, in chunks, without atomics.
//
// A thread adds one feature over the samples of one chunk and class, in order; a second kernel adds a
// class's chunks, in order. Bound by memory: every feature is read once, whole rows at a time where
// the rows are contiguous. Behind the last feature stands a column of ones, whose sums are the counts.
#pragma once

#include "device/device.cuh"

namespace tk {

constexpr int kSumThreads = 128;

template <class T>
struct ClassSumsInput {
    const T* x;
    int64_t n, d, row_stride, col_stride;
    const double* shift;
    const double* weights;
    const int64_t* order;   // the samples sorted by class
    const int64_t* codes;   // their classes, sorted
    const int64_t* starts;  // where each class starts among them, and the last one ends
    int64_t chunk_rows;
};

// A chunk's part of a class. Along the sorted samples the sum grows with every part.
__device__ __forceinline__ int64_t class_part(int64_t chunk, int64_t code) { return chunk + code; }

// parts: (parts, d + 1) sums with the weights, then, if weighted, as many with their roots.
template <class T, bool kWeighted>
__global__ void __launch_bounds__(kSumThreads)
    sum_chunks(ClassSumsInput<T> input, int64_t n_parts, double* parts) {
    const int64_t column = static_cast<int64_t>(blockIdx.y) * kSumThreads + threadIdx.x;
    if (column > input.d) return;
    const bool ones = column == input.d;
    const double shift = ones ? 0.0 : input.shift[column];
    const T* const x = input.x + column * input.col_stride;
    const int64_t chunk = blockIdx.x, first = chunk * input.chunk_rows;
    const int64_t chunk_end = first + input.chunk_rows;
    const int64_t last = chunk_end < input.n ? chunk_end : input.n;
    for (int64_t place = first; place < last;) {
        const int64_t code = input.codes[place];
        const int64_t class_end = input.starts[code + 1];
        const int64_t end = class_end < last ? class_end : last;
        double total = 0.0, root_total = 0.0;
#pragma unroll 8
        for (; place < end; ++place) {
            const int64_t row = input.order[place];
            const double z = ones ? 1.0 : to_double(x[row * input.row_stride]) - shift;
            if (kWeighted) {
                const double weight = input.weights[row];
                total += weight * z;
                root_total += sqrt(weight) * z;
            } else {
                total += z;
            }
        }
        const int64_t to = class_part(chunk, code) * (input.d + 1) + column;
        parts[to] = total;
        if (kWeighted) parts[n_parts * (input.d + 1) + to] = root_total;
    }
}

// Adds the parts of class blockIdx.x; blockIdx.z is 0 for the sums with the weights, 1 for the roots.
static __global__ void __launch_bounds__(kSumThreads)
    add_chunks(const int64_t* starts, int64_t d, int64_t chunk_rows, int64_t n_parts,
               const double* parts, double* sums, double* counts) {
    const int64_t column = static_cast<int64_t>(blockIdx.y) * kSumThreads + threadIdx.x;
    if (column > d) return;
    const int64_t code = blockIdx.x, n_classes = gridDim.x, kind = blockIdx.z;
    const int64_t first = starts[code], end = starts[code + 1];
    double total = 0.0;
    if (first < end) {
        const int64_t last_chunk = (end - 1) / chunk_rows;
#pragma unroll 8
        for (int64_t chunk = first / chunk_rows; chunk <= last_chunk; ++chunk)
            total += parts[(kind * n_parts + class_part(chunk, code)) * (d + 1) + column];
    }
    if (column < d)
        sums[(kind * n_classes + code) * d + column] = total;
    else
        counts[kind * n_classes + code] = total;
}

}  // namespace tk
