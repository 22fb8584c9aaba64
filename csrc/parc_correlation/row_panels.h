// Normalised rows, packed in panels for the pair products: panel p holds kPanel rows, feature by feature.
//
// A packed row is centred and of length one, so that the product of two is their Pearson correlation;
// a row without variance, and the rows that fill up the last panel, are zero.
#pragma once

#include <cfloat>

#include "common/array_view.h"
#include "common/load_rows.h"
#include "common/simd.h"

namespace tk {
namespace TK_ISA {

constexpr int kPanelVectors = 3;
constexpr int kPanel = kPanelVectors * kLanes;

TK_INLINE int64_t panel_count(int64_t rows) { return (rows + kPanel - 1) / kPanel; }
// Values from one panel to the next. Many features are multiplied slice by slice: the slices of
// neighbouring panels must not fall into the same cache sets, so panels are an odd number of pages.
TK_INLINE int64_t panel_stride(int64_t cols) {
    constexpr int64_t kPage = 512;
    const int64_t pages = (cols * kPanel + kPage - 1) / kPage;
    return pages < 4 ? cols * kPanel : (pages | 1) * kPage;
}
// Scratch for one row, whole vectors.
TK_INLINE int64_t padded_width(int64_t cols) { return (cols + kLanes - 1) / kLanes * kLanes; }

template <class T>
TK_INLINE void read_typed(const MatrixView& x, int64_t i, int64_t begin, int64_t end, double* out) {
    const T* from = static_cast<const T*>(x.data) + i * x.row_stride + begin * x.col_stride;
    const int64_t count = end - begin;
    int64_t j = 0;
    if (x.col_stride == 1)
        for (; j + kLanes <= count; j += kLanes) store(out + j, load_vector(from + j));
    for (; j < count; ++j) out[j] = load_one(from + j * x.col_stride);
}

// Columns [begin, end) of row i.
static void read_row(const MatrixView& x, int64_t i, int64_t begin, int64_t end, double* out) {
    if (x.dtype == Dtype::float64) return read_typed<double>(x, i, begin, end, out);
    if (x.dtype == Dtype::float32) return read_typed<float>(x, i, begin, end, out);
    read_typed<Half>(x, i, begin, end, out);
}

constexpr int kMomentColumns = 64;

// Mean and reciprocal standard deviation of columns [begin, end), at most kMomentColumns of them; the
// latter is 0 for a column without variance.
static void column_moments(const MatrixView& x, int64_t begin, int64_t end, double* mean,
                           double* scale) {
    const double n = static_cast<double>(x.rows);
    const int width = static_cast<int>(end - begin);
    double values[kMomentColumns], sum[kMomentColumns], squares[kMomentColumns];
    for (int j = 0; j < width; ++j) sum[j] = squares[j] = 0.0;
    for (int64_t i = 0; i < x.rows; ++i) {
        read_row(x, i, begin, end, values);
        for (int j = 0; j < width; ++j) sum[j] += values[j];
    }
    for (int j = 0; j < width; ++j) {
        mean[begin + j] = sum[j] / n;
        sum[j] = 0.0;
    }
    for (int64_t i = 0; i < x.rows; ++i) {
        read_row(x, i, begin, end, values);
        for (int j = 0; j < width; ++j) {
            const double deviation = values[j] - mean[begin + j];
            sum[j] += deviation;
            squares[j] += deviation * deviation;
        }
    }
    for (int j = 0; j < width; ++j) {
        // Deviations from a rounded mean do not sum to zero: what is left corrects it.
        const double rest = sum[j] / n;
        const double centre = mean[begin + j] += rest;
        const double variance = squares[j] / n - rest * rest;
        const double noise = n * DBL_EPSILON * (variance + n * DBL_EPSILON * centre * centre);
        scale[begin + j] = variance > noise ? 1.0 / __builtin_sqrt(variance) : 0.0;
    }
}

TK_INLINE double lane_sum(VecD v) {
    double sum = 0.0;
    for (int lane = 0; lane < kLanes; ++lane) sum += v[lane];
    return sum;
}

// Centres `row` (padded_width(d) values, the padding zero) in place; returns the factor that gives it
// length one, or 0 where it has no variance. `magnitude` is that of the matrix.
static double centre_row(double* row, int64_t d, double magnitude) {
    VecD sums = {}, largest = {};
    for (int64_t j = 0; j < d; j += kLanes) {
        const VecD v = load(row + j);
        const VecD size = v < -v ? -v : v;
        sums += v;
        largest = largest < size ? size : largest;
    }
    double bound = magnitude;
    for (int lane = 0; lane < kLanes; ++lane) bound = bound < largest[lane] ? largest[lane] : bound;
    const double centre = lane_sum(sums) / static_cast<double>(d);
    for (int64_t j = 0; j < d; ++j) row[j] -= centre;
    VecD squares = {};
    for (int64_t j = 0; j < d; j += kLanes) squares += load(row + j) * load(row + j);
    const double length = __builtin_sqrt(lane_sum(squares));
    // A constant row leaves rounding noise of its values and centring, not variance.
    const double noise = 1e-14 * __builtin_sqrt(static_cast<double>(d)) * bound;
    return length > noise ? 1.0 / length : 0.0;
}

// Packs the rows at positions [begin, begin + kPanel) of `order`, or of x where it is null; columns are
// standardised unless `mean` is null; `row` is scratch.
static void pack_panel(const MatrixView& x, const int64_t* order, int64_t begin, const double* mean,
                       const double* scale, double magnitude, double* row, double* panel) {
    const int64_t d = x.cols;
    for (int64_t j = d; j < padded_width(d); ++j) row[j] = 0.0;
    for (int r = 0; r < kPanel; ++r) {
        double factor = 0.0;
        if (begin + r < x.rows) {
            read_row(x, order ? order[begin + r] : begin + r, 0, d, row);
            if (mean != nullptr)
                for (int64_t j = 0; j < d; ++j) row[j] = (row[j] - mean[j]) * scale[j];
            factor = centre_row(row, d, magnitude);
        }
        if (factor == 0.0) {
            for (int64_t j = 0; j < d; ++j) panel[j * kPanel + r] = 0.0;
        } else {
            for (int64_t j = 0; j < d; ++j) panel[j * kPanel + r] = row[j] * factor;
        }
    }
}

}  // namespace TK_ISA
}  // namespace tk
