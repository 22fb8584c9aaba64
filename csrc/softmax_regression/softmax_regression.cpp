// softmax_regression on the CPU: some rows at a time are read twice, the second time from the cache.
//
// First the threads share out the rows: discriminants and softmax, as in self_challenging, which
// leave residuals p - indicator, packed with the samples outermost. Then they share out the features:
// each adds the products of its features with all residuals to its part of the gradient, in the order
// of the samples, so that the bits do not depend on who does what.
#include "softmax_regression.h"

#include "common/buffer.h"
#include "common/gemm_tile.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"
#include "common/simd_math.h"

namespace tk {
namespace TK_ISA {
namespace {

// Samples that one thread takes through the softmax at a time; a multiple of the tile's width.
constexpr int64_t kRows = 96;
// Features whose gradient one thread makes at a time; likewise.
constexpr int64_t kColumns = 96;
// Samples of a chunk of residuals: the depth of the gradient's products.
constexpr int64_t kChunk = kDepth;
// Panels of coefficients that stay in the second-level cache while the samples pass by.
constexpr int64_t kGroupPanels = 9;
// Products that outweigh a thread's start and its waits at barriers: a fit calls hundreds of times.
constexpr int64_t kThreadWork = int64_t{1} << 20;
static_assert(kRows % kTileWidth == 0 && kColumns % kTileWidth == 0, "whole tiles");
static_assert(kChunk % kRows == 0, "whole blocks of rows");

struct Problem {
    const SoftmaxRegressionArgs& args;
    int64_t n, d, class_panels, depth_blocks, chunks, slabs;
    double* coef_panels;  // (depth_blocks, class_panels) panels
    double* residuals;    // (chunks, class_panels) panels
    double* gradient;     // (class_panels * kPanel, slabs * kColumns)

    Problem(const SoftmaxRegressionArgs& args, int64_t chunks)
        : args(args), n(args.X.rows), d(args.X.cols),
          class_panels(ceil_div(args.n_classes, kPanel)), depth_blocks(ceil_div(d, kDepth)),
          chunks(chunks), slabs(ceil_div(d, kColumns)), coef_panels(nullptr), residuals(nullptr),
          gradient(nullptr) {}

    double* residual_panel(int64_t chunk, int64_t panel) const {
        return residuals + (chunk * class_panels + panel) * kPanelStride;
    }
    int64_t gradient_width() const { return slabs * kColumns; }
    int64_t scores_size() const { return class_panels * kPanel * kRows; }
    int64_t panels_size() const {
        return larger(kRows, kColumns) / kPanel * kPanelStride + kRows;
    }
};

static void pack_coef(const Problem& problem, int64_t depth_block) {
    const int64_t d = problem.d, n_classes = problem.args.n_classes;
    const int64_t k = depth_block * kDepth, depth = smaller(kDepth, d - k);
    for (int64_t p = 0; p < problem.class_panels; ++p) {
        const int64_t c = p * kPanel;
        copy_as_doubles(
            problem.args.coef + c * d + k, 1, d, depth, smaller(kPanel, n_classes - c),
            problem.coef_panels + (depth_block * problem.class_panels + p) * kPanelStride, kPanel);
    }
}

// scores[c * kRows + i] = coef[c] . z[i], and squares[i] = |z[i]|^2, for i < count.
template <class T>
static void score_block(const Problem& problem, const T* x, int64_t count, double* panels,
                        double* scores, double* squares) {
    const MatrixView& X = problem.args.X;
    const int64_t tiles = ceil_div(count, kTileWidth);
    for (int64_t i = 0; i < kRows; ++i) squares[i] = 0.0;
    for (int64_t b = 0; b < problem.depth_blocks; ++b) {
        const int64_t k0 = b * kDepth, depth = smaller(kDepth, problem.d - k0);
        for (int64_t p = 0; p < tiles * kTilePanels; ++p) {
            const int64_t i = p * kPanel;
            double* panel = panels + p * kPanelStride;
            copy_as_doubles(x + i * X.row_stride + k0 * X.col_stride, X.col_stride, X.row_stride,
                            depth, larger(0, smaller(kPanel, count - i)), panel, kPanel);
            for (int64_t v = 0; v < kPanel; v += kLanes) {
                VecD sum = load(squares + i + v);
                for (int64_t k = 0; k < depth; ++k) {
                    double* at = panel + k * kPanel + v;
                    const VecD z = load(at) - problem.args.shift[k0 + k];
                    store(at, z);
                    sum += z * z;
                }
                store(squares + i + v, sum);
            }
        }
        const double* coef = problem.coef_panels + b * problem.class_panels * kPanelStride;
        for (int64_t group = 0; group < problem.class_panels; group += kGroupPanels) {
            const int64_t end = smaller(problem.class_panels, group + kGroupPanels);
            for (int64_t t = 0; t < tiles; ++t)
                for (int64_t p = group; p < end; ++p) {
                    const Tile tile = tile_product(panels + t * kTilePanels * kPanelStride,
                                                   coef + p * kPanelStride, depth);
                    double* out = scores + p * kPanel * kRows + t * kTileWidth;
#pragma GCC unroll 8
                    for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 8
                        for (int v = 0; v < kTileVectors; ++v) {
                            double* z = out + r * kRows + v * kLanes;
                            store(z, b == 0 ? tile.at[r][v] : load(z) + tile.at[r][v]);
                        }
                }
        }
    }
}

// Softmax of `count` samples from `row` on; their residuals go to the chunk from `place` on.
static void finish_block(const Problem& problem, int64_t row, int64_t count, double* scores,
                         const double* squares, int64_t chunk, int64_t place) {
    const SoftmaxRegressionArgs& args = problem.args;
    for (int64_t first = 0; first < count; first += kLanes) {
        const int64_t valid = smaller(kLanes, count - first);
        double* z = scores + first;
        VecD highest = broadcast(-__builtin_inf());
        for (int64_t c = 0; c < args.n_classes; ++c) {
            const VecD score = load(z + c * kRows) + args.intercept[c];
            store(z + c * kRows, score);
            highest = score > highest ? score : highest;
        }
        VecD own = {}, sum = {}, spread = {};
        for (int64_t lane = 0; lane < valid; ++lane)
            own[lane] = z[args.codes[row + first + lane] * kRows + lane];
        for (int64_t c = 0; c < args.n_classes; ++c) {
            const VecD e = exp_vector(load(z + c * kRows) - highest);
            store(z + c * kRows, e);
            sum += e;
        }
        const VecD scale = 1.0 / sum;
        for (int64_t c = 0; c < args.n_classes; ++c) {
            const VecD p = load(z + c * kRows) * scale;
            spread += p * (1.0 - p);
            double* to = problem.residual_panel(chunk, c / kPanel) +
                         (place + first) * kPanel + c % kPanel;
            for (int64_t lane = 0; lane < valid; ++lane) to[lane * kPanel] = p[lane];
        }
        for (int64_t lane = 0; lane < valid; ++lane) {
            const int64_t i = row + first + lane, c = args.codes[i];
            problem.residual_panel(chunk, c / kPanel)[(place + first + lane) * kPanel +
                                                      c % kPanel] -= 1.0;
            args.losses[i] = __builtin_log(sum[lane]) + highest[lane] - own[lane];
            args.curvatures[i] = (squares[first + lane] + 1.0) * spread[lane];
        }
    }
}

// Adds the rows from `row` on, `count` of them in chunks, to the gradient of a slab of features.
template <class T>
static void add_to_gradient(const Problem& problem, int64_t slab, int64_t row, int64_t count,
                            double* panels) {
    const MatrixView& X = problem.args.X;
    const int64_t j0 = slab * kColumns, columns = smaller(kColumns, problem.d - j0);
    const int64_t tiles = ceil_div(columns, kTileWidth), width = problem.gradient_width();
    for (int64_t chunk = 0; chunk * kChunk < count; ++chunk) {
        const int64_t first = row + chunk * kChunk, depth = smaller(kChunk, count - chunk * kChunk);
        const T* x = static_cast<const T*>(X.data) + first * X.row_stride;
        for (int64_t p = 0; p < tiles * kTilePanels; ++p) {
            const int64_t i = p * kPanel;
            double* panel = panels + p * kPanelStride;
            copy_as_doubles(x + (j0 + i) * X.col_stride, X.row_stride, X.col_stride, depth,
                            larger(0, smaller(kPanel, columns - i)), panel, kPanel);
            for (int64_t v = 0; v < kPanel; v += kLanes) {
                VecD shift = {};
                for (int lane = 0; lane < kLanes; ++lane)
                    if (i + v + lane < columns) shift[lane] = problem.args.shift[j0 + i + v + lane];
                for (int64_t k = 0; k < depth; ++k)
                    store(panel + k * kPanel + v, load(panel + k * kPanel + v) - shift);
            }
        }
        for (int64_t t = 0; t < tiles; ++t)
            for (int64_t p = 0; p < problem.class_panels; ++p) {
                const Tile tile = tile_product(panels + t * kTilePanels * kPanelStride,
                                               problem.residual_panel(chunk, p), depth);
                double* out = problem.gradient + p * kPanel * width + j0 + t * kTileWidth;
#pragma GCC unroll 8
                for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 8
                    for (int v = 0; v < kTileVectors; ++v) {
                        double* at = out + r * width + v * kLanes;
                        store(at, load(at) + tile.at[r][v]);
                    }
            }
    }
}

static void add_to_intercepts(const Problem& problem, int64_t count) {
    for (int64_t c = 0; c < problem.args.n_classes; ++c) {
        double sum = problem.args.by_intercept[c];
        for (int64_t k = 0; k < count; ++k)
            sum += problem.residual_panel(k / kChunk, c / kPanel)[k % kChunk * kPanel + c % kPanel];
        problem.args.by_intercept[c] = sum;
    }
}

template <class T>
static void regress_all(const SoftmaxRegressionArgs& args) {
    const int64_t n = args.X.rows, d = args.X.cols;
    // Enough rows at a time that all threads have some; the sums are by chunks, however many.
    const int64_t chunks = smaller(ceil_div(n, kChunk), larger(2, args.n_threads / 2));
    Problem problem(args, chunks);
    const int64_t stretch = chunks * kChunk;
    const int64_t items = larger(ceil_div(smaller(n, stretch), kRows), problem.slabs + 1);
    const int64_t worthwhile = 1 + n * d * args.n_classes / kThreadWork;
    const int n_threads =
        static_cast<int>(smaller(args.n_threads, smaller(items, worthwhile)));
    const int64_t padded_classes = problem.class_panels * kPanel;
    const Buffer<double> coef_panels(problem.depth_blocks * problem.class_panels * kPanelStride);
    const Buffer<double> residuals(chunks * problem.class_panels * kPanelStride);
    const Buffer<double> gradient(padded_classes * problem.gradient_width());
    const int64_t own_size = problem.panels_size() + problem.scores_size();
    const Buffer<double> scratch(n_threads * own_size);
    problem.coef_panels = coef_panels.data();
    problem.residuals = residuals.data();
    problem.gradient = gradient.data();
    for (int64_t i = 0; i < padded_classes * problem.gradient_width(); ++i) gradient[i] = 0.0;
    for (int64_t i = 0; i < chunks * problem.class_panels * kPanelStride; ++i) residuals[i] = 0.0;
    for (int64_t c = 0; c < args.n_classes; ++c) args.by_intercept[c] = 0.0;
    Queue packing(problem.depth_blocks);
    Queue blocks(ceil_div(smaller(n, stretch), kRows)), slabs(problem.slabs + 1);
    auto body = [&](Member member) {
        double* squares = scratch.data() + member.rank * own_size;
        double* panels = squares + kRows;
        double* scores = scratch.data() + member.rank * own_size + problem.panels_size();
        for (int64_t b = packing.next(); b >= 0; b = packing.next()) pack_coef(problem, b);
        member.barrier.wait();
        for (int64_t row = 0; row < n; row += stretch) {
            const int64_t count = smaller(stretch, n - row);
            for (int64_t b = blocks.next(); b >= 0; b = blocks.next()) {
                const int64_t at = b * kRows, rows = smaller(kRows, count - at);
                const T* x = static_cast<const T*>(args.X.data) + (row + at) * args.X.row_stride;
                score_block(problem, x, rows, panels, scores, squares);
                finish_block(problem, row + at, rows, scores, squares, at / kChunk, at % kChunk);
            }
            member.barrier.wait();
            const int64_t next = smaller(stretch, n - row - count);
            if (member.rank == 0) blocks.reset(ceil_div(next, kRows));
            for (int64_t s = slabs.next(); s >= 0; s = slabs.next()) {
                if (s < problem.slabs)
                    add_to_gradient<T>(problem, s, row, count, panels);
                else
                    add_to_intercepts(problem, count);
            }
            member.barrier.wait();
            if (member.rank == 0) slabs.reset(problem.slabs + 1);
        }
    };
    run_team(n_threads, body);
    for (int64_t c = 0; c < args.n_classes; ++c)
        for (int64_t j = 0; j < d; ++j)
            args.by_coef[c * d + j] = gradient[c * problem.gradient_width() + j];
}

}  // namespace

void softmax_regression(const SoftmaxRegressionArgs& args) {
    switch (args.X.dtype) {
        case Dtype::float16: return regress_all<Half>(args);
        case Dtype::float32: return regress_all<float>(args);
        case Dtype::float64: return regress_all<double>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
