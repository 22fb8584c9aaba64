// row_statistics on the CPU: a row at a time becomes doubles in the cache, and is passed over twice.
#include "row_statistics.h"

#include "common/buffer.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"
#include "common/simd_math.h"

namespace tk {
namespace TK_ISA {
namespace {

constexpr int64_t kBlockElements = int64_t{1} << 16;
// Independent sums, so that one addition need not wait for the last.
constexpr int kSums = 4;

TK_INLINE double largest_lane(VecD values) {
    double found = values[0];
    for (int lane = 1; lane < kLanes; ++lane) found = values[lane] > found ? values[lane] : found;
    return found;
}

TK_INLINE double sum_lanes(VecD values) {
    double total = values[0];
    for (int lane = 1; lane < kLanes; ++lane) total += values[lane];
    return total;
}

// Of one row and of the same with negative infinity up to `width`, a multiple of the step.
static void statistics(const double* row, const double* shift, int64_t count, int64_t width,
                       double* square, double* logsum) {
    constexpr int64_t kStep = kSums * kLanes;
    VecD squares[kSums] = {}, highest = broadcast(-__builtin_inf());
    int64_t j = 0;
    for (; j + kStep <= count; j += kStep)
#pragma GCC unroll 4
        for (int v = 0; v < kSums; ++v) {
            const VecD x = load(row + j + v * kLanes), z = x - load(shift + j + v * kLanes);
            squares[v] += z * z;
            highest = x > highest ? x : highest;
        }
    double total = sum_lanes((squares[0] + squares[1]) + (squares[2] + squares[3]));
    double top = largest_lane(highest);
    for (; j < count; ++j) {
        total += (row[j] - shift[j]) * (row[j] - shift[j]);
        top = row[j] > top ? row[j] : top;
    }
    VecD sums[kSums] = {};
    for (j = 0; j < width; j += kStep)
#pragma GCC unroll 4
        for (int v = 0; v < kSums; ++v) sums[v] += exp_vector(load(row + j + v * kLanes) - top);
    *square = total;
    *logsum = top + __builtin_log(sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3])));
}

template <class T>
static void all_rows(const RowStatisticsArgs& args) {
    const MatrixView& X = args.X;
    const int64_t width = ceil_div(X.cols, kSums * kLanes) * kSums * kLanes;
    const int64_t block_rows = larger(1, kBlockElements / X.cols);
    const int64_t n_blocks = ceil_div(X.rows, block_rows);
    const int n_threads = static_cast<int>(smaller(args.n_threads, n_blocks));
    const Buffer<double> rows(n_threads * width);
    Queue blocks(n_blocks);
    auto body = [&](Member member) {
        double* row = rows.data() + member.rank * width;
        for (int64_t j = X.cols; j < width; ++j) row[j] = -__builtin_inf();
        for (int64_t b = blocks.next(); b >= 0; b = blocks.next()) {
            const int64_t end = smaller(X.rows, (b + 1) * block_rows);
            for (int64_t i = b * block_rows; i < end; ++i) {
                row_as_doubles(static_cast<const T*>(X.data) + i * X.row_stride, X.col_stride,
                               X.cols, row);
                statistics(row, args.shift, X.cols, width, args.squares + i, args.logsums + i);
            }
        }
    };
    run_team(n_threads, body);
}

}  // namespace

void row_statistics(const RowStatisticsArgs& args) {
    switch (args.X.dtype) {
        case Dtype::float16: return all_rows<Half>(args);
        case Dtype::float32: return all_rows<float>(args);
        case Dtype::float64: return all_rows<double>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
