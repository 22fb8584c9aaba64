// self_challenging on the CPU: a small block of samples at a time goes through the matrix product and
// both softmaxes while it is in the cache.
//
// Samples are the vector operand of the tiles, classes the broadcast one: the discriminants of a block
// come out as (class, sample), so that every step of the softmaxes works on vectors of samples.
// Discriminants of mixed samples are mixed discriminants: q (coef x) + (1 - q)(coef anchor) + intercept.
#include "self_challenging.h"

#include "common/buffer.h"
#include "common/gemm_tile.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"
#include "common/simd_math.h"

namespace tk {
namespace TK_ISA {
namespace {

// Samples in a block, where the discriminants of as many fit the bound; a multiple of the tile's width.
constexpr int64_t kMaxRows = 96;
constexpr int64_t kMaxScoreBytes = int64_t{2} << 20;
// Panels of coefficients that stay in the second-level cache while the samples pass by.
constexpr int64_t kGroupPanels = 9;

struct Problem {
    const SelfChallengingArgs& args;
    int64_t class_panels, depth_blocks, rows;
    double* coef_panels;  // (depth_blocks, class_panels) panels

    explicit Problem(const SelfChallengingArgs& args)
        : args(args), class_panels(ceil_div(args.n_classes, kPanel)),
          depth_blocks(ceil_div(args.X.cols, kDepth)), coef_panels(nullptr) {
        const int64_t fitting = kMaxScoreBytes / 8 / (class_panels * kPanel);
        rows = larger(1, smaller(kMaxRows, fitting) / kTileWidth) * kTileWidth;
    }

    int64_t scores_size() const { return class_panels * kPanel * rows; }
    int64_t sample_panels_size() const { return rows / kPanel * kPanelStride; }
};

static void pack_coef(const Problem& problem, int64_t depth_block) {
    const int64_t d = problem.args.X.cols, n_classes = problem.args.n_classes;
    const int64_t k = depth_block * kDepth, depth = smaller(kDepth, d - k);
    for (int64_t p = 0; p < problem.class_panels; ++p) {
        const int64_t c = p * kPanel;
        copy_as_doubles(
            problem.args.coef + c * d + k, 1, d, depth, smaller(kPanel, n_classes - c),
            problem.coef_panels + (depth_block * problem.class_panels + p) * kPanelStride, kPanel);
    }
}

// scores[c * rows + i] = coef[c] . x[i] for i < count, and zero beyond.
template <class T>
static void score_block(const Problem& problem, const T* x, int64_t row_stride, int64_t col_stride,
                        int64_t count, double* panels, double* scores) {
    const int64_t tiles = ceil_div(count, kTileWidth);
    for (int64_t b = 0; b < problem.depth_blocks; ++b) {
        const int64_t k = b * kDepth, depth = smaller(kDepth, problem.args.X.cols - k);
        for (int64_t p = 0; p < tiles * kTilePanels; ++p) {
            const int64_t i = p * kPanel;
            copy_as_doubles(x + i * row_stride + k * col_stride, col_stride, row_stride, depth,
                            larger(0, smaller(kPanel, count - i)), panels + p * kPanelStride,
                            kPanel);
        }
        const double* coef = problem.coef_panels + b * problem.class_panels * kPanelStride;
        for (int64_t group = 0; group < problem.class_panels; group += kGroupPanels) {
            const int64_t end = smaller(problem.class_panels, group + kGroupPanels);
            for (int64_t t = 0; t < tiles; ++t)
                for (int64_t p = group; p < end; ++p) {
                    const Tile tile = tile_product(panels + t * kTilePanels * kPanelStride,
                                                   coef + p * kPanelStride, depth);
                    double* out = scores + p * kPanel * problem.rows + t * kTileWidth;
#pragma GCC unroll 8
                    for (int r = 0; r < kPanel; ++r)
#pragma GCC unroll 8
                        for (int v = 0; v < kTileVectors; ++v) {
                            double* z = out + r * problem.rows + v * kLanes;
                            store(z, b == 0 ? tile.at[r][v] : load(z) + tile.at[r][v]);
                        }
                }
        }
    }
}

// Discriminants of kLanes samples from their products with coef, in place; returns their maxima.
template <bool Mixed>
TK_INLINE VecD discriminants(const Problem& problem, const double* table, const int64_t* codes,
                             VecD share, double* scores) {
    const int64_t n_classes = problem.args.n_classes;
    VecD highest = broadcast(-__builtin_inf());
    for (int64_t c = 0; c < n_classes; ++c) {
        VecD z = load(scores + c * problem.rows);
        if (Mixed) {
            VecD anchor;
            for (int lane = 0; lane < kLanes; ++lane)
                anchor[lane] = table[c * n_classes + codes[lane]];
            z = share * z + (1.0 - share) * anchor;
        }
        z += problem.args.intercept[c];
        highest = z > highest ? z : highest;
        store(scores + c * problem.rows, z);
    }
    return highest;
}

// Both softmaxes of `count` samples from `row` on; `scores` as score_block leaves them.
static void challenge_block(const Problem& problem, const double* table, int64_t row, int64_t count,
                            double* scores) {
    const SelfChallengingArgs& args = problem.args;
    for (int64_t first = 0; first < count; first += kLanes) {
        const int64_t valid = smaller(kLanes, count - first);
        int64_t codes[kLanes] = {};
        VecD share = {};
        for (int64_t lane = 0; lane < valid; ++lane) {
            codes[lane] = args.codes[row + first + lane];
            if (table) share[lane] = args.share[row + first + lane];
        }
        double* z = scores + first;
        const VecD highest = table ? discriminants<true>(problem, table, codes, share, z)
                                   : discriminants<false>(problem, table, codes, share, z);
        VecD sum = {};
        for (int64_t c = 0; c < args.n_classes; ++c) {
            const VecD e = exp_vector(load(z + c * problem.rows) - highest);
            store(z + c * problem.rows, e);
            sum += e;
        }
        const VecD scale = 1.0 / sum;
        VecD second_sum = {};
        for (int64_t c = 0; c < args.n_classes; ++c)
            second_sum += exp_vector(load(z + c * problem.rows) * scale);
        VecD own = {};
        for (int lane = 0; lane < kLanes; ++lane) own[lane] = z[codes[lane] * problem.rows + lane];
        const VecD posterior = own * scale;
        const VecD challenge = exp_vector(posterior) / second_sum;
        for (int64_t lane = 0; lane < valid; ++lane) {
            args.posterior[row + first + lane] = posterior[lane];
            args.challenge[row + first + lane] = challenge[lane];
        }
    }
}

// table[c * n_classes + a] = coef[c] . anchors[a] for the anchors of one block.
static void fill_table(const Problem& problem, int64_t block, double* panels, double* scores,
                       double* table) {
    const int64_t d = problem.args.X.cols, n_classes = problem.args.n_classes;
    const int64_t first = block * problem.rows, count = smaller(problem.rows, n_classes - first);
    score_block(problem, problem.args.anchors + first * d, d, 1, count, panels, scores);
    for (int64_t c = 0; c < n_classes; ++c)
        for (int64_t i = 0; i < count; ++i)
            table[c * n_classes + first + i] = scores[c * problem.rows + i];
}

template <class T>
static void challenge_all(const SelfChallengingArgs& args) {
    Problem problem(args);
    const int64_t n = args.X.rows, n_blocks = ceil_div(n, problem.rows);
    const int64_t table_blocks = args.share ? ceil_div(args.n_classes, problem.rows) : 0;
    const int n_threads = static_cast<int>(smaller(args.n_threads, larger(n_blocks, table_blocks)));
    const Buffer<double> coef_panels(problem.depth_blocks * problem.class_panels * kPanelStride);
    const Buffer<double> table(args.share ? args.n_classes * args.n_classes : 0);
    const int64_t panels_size = problem.sample_panels_size();
    const int64_t own_size = panels_size + problem.scores_size();
    const Buffer<double> scratch(n_threads * own_size);
    problem.coef_panels = coef_panels.data();
    Queue packing(problem.depth_blocks), tabling(table_blocks), blocks(n_blocks);
    auto body = [&](Member member) {
        double* panels = scratch.data() + member.rank * own_size;
        double* scores = panels + panels_size;
        for (int64_t b = packing.next(); b >= 0; b = packing.next()) pack_coef(problem, b);
        member.barrier.wait();
        for (int64_t b = tabling.next(); b >= 0; b = tabling.next())
            fill_table(problem, b, panels, scores, table.data());
        member.barrier.wait();
        for (int64_t b = blocks.next(); b >= 0; b = blocks.next()) {
            const int64_t row = b * problem.rows, count = smaller(problem.rows, n - row);
            const T* x = static_cast<const T*>(args.X.data) + row * args.X.row_stride;
            score_block(problem, x, args.X.row_stride, args.X.col_stride, count, panels, scores);
            challenge_block(problem, args.share ? table.data() : nullptr, row, count, scores);
        }
    };
    run_team(n_threads, body);
}

}  // namespace

void self_challenging(const SelfChallengingArgs& args) {
    switch (args.X.dtype) {
        case Dtype::float16: return challenge_all<Half>(args);
        case Dtype::float32: return challenge_all<float>(args);
        case Dtype::float64: return challenge_all<double>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
