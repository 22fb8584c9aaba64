// fisher_scatter on the device: the Gram matrix by tiles (gram_tiles.cuh), then the class sums.
#include "fisher_scatter_cuda.h"

#include "class_sums.cuh"
#include "device/device_elements.cuh"
#include "gram_tiles.cuh"

namespace tk {

namespace {

// Steps whose products outweigh the writing and adding of a part of a tile.
constexpr int64_t kLeastSteps = 8;
// Samples of a chunk of the class sums, and the most chunks.
constexpr int64_t kLeastChunkRows = 64;
constexpr int64_t kMostChunks = 512;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t magnitude(int64_t a) { return a < 0 ? -a : a; }
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

TriangleSchedule gram_schedule(int64_t n, int64_t d, int n_blocks) {
    return TriangleSchedule::make(ceil_div(d, kTile), ceil_div(n, kDepth), n_blocks, kLeastSteps);
}

int64_t chunk_rows(int64_t n) { return larger(kLeastChunkRows, ceil_div(n, kMostChunks)); }

int64_t part_count(int64_t n, int64_t n_classes) {
    return ceil_div(n, chunk_rows(n)) + n_classes - 1;
}

template <class T>
void make_gram(const T* x, const FisherScatterCudaArgs& args, void* stream) {
    const DeviceMatrix& X = args.X;
    const FeatureView<T> input{x,         X.rows, X.cols, X.row_stride, X.col_stride, args.weights,
                               args.shift};
    const TriangleSchedule schedule = gram_schedule(X.rows, X.cols, args.n_blocks);
    const bool along_features = magnitude(X.col_stride) <= magnitude(X.row_stride);
    launch(multiply_tiles<T>, dim3(static_cast<unsigned>(schedule.blocks)), dim3(kFeatureThreads),
           kFeatureSharedBytes, stream, input, schedule, along_features, args.workspace, args.gram);
    if (schedule.rest > 0)
        launch(add_parts, dim3(kSums, static_cast<unsigned>(schedule.rest)), dim3(kFeatureThreads),
               0, stream, schedule, args.workspace, X.cols, args.gram);
}

template <class T>
void make_sums(const T* x, const FisherScatterCudaArgs& args, void* stream) {
    const DeviceMatrix& X = args.X;
    const int64_t rows = chunk_rows(X.rows), n_parts = part_count(X.rows, args.n_classes);
    const ClassSumsInput<T> input{x,          X.rows,       X.cols,     X.row_stride, X.col_stride,
                                  args.shift, args.weights, args.order, args.codes,   args.starts,
                                  rows};
    const unsigned column_blocks = static_cast<unsigned>(ceil_div(X.cols + 1, kSumThreads));
    launch(args.weighted ? sum_chunks<T, true> : sum_chunks<T, false>,
           dim3(static_cast<unsigned>(ceil_div(X.rows, rows)), column_blocks), dim3(kSumThreads), 0,
           stream, input, n_parts, args.workspace);
    launch(add_chunks,
           dim3(static_cast<unsigned>(args.n_classes), column_blocks, args.weighted ? 2 : 1),
           dim3(kSumThreads), 0, stream, args.starts, X.cols, rows, n_parts, args.workspace,
           args.sums, args.counts);
}

}  // namespace

int64_t fisher_scatter_workspace(int64_t n, int64_t d, int64_t n_classes, bool weighted,
                                 int n_blocks) {
    const int64_t tiles = gram_schedule(n, d, n_blocks).slots() * kTileElements;
    return larger(tiles, (weighted ? 2 : 1) * part_count(n, n_classes) * (d + 1));
}

void fisher_scatter_cuda(const FisherScatterCudaArgs& args, void* stream) {
    with_elements(args.X, [&](auto x) {
        make_gram(x, args, stream);
        make_sums(x, args, stream);  // after the Gram matrix: it takes the same workspace
    });
}

}  // namespace tk
