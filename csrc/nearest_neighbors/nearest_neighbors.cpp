// nearest_neighbors on the CPU: products of blocks of rows in float32 choose candidates, differences
// in float64 rank them, and rows for which the candidates are not proven are compared with all.
//
// The rows are packed once, less the origin. A pair of blocks is multiplied by one thread, and its
// products serve the queries of both blocks. The best of a row so far are shared by the threads, a
// block's under a lock: which thread adds them, and when, decides nothing.
#include "nearest_neighbors.h"

#include "common/buffer.h"
#include "common/float_tile.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

constexpr int64_t kBlock = 384;  // rows of a block: whole tiles either way
constexpr int64_t kDepth = 256;  // features that are summed up in float32: DEPTH of the contract
constexpr int64_t kQueryRows = 16;  // that are compared with all at a time
constexpr int kSums = 4;            // independent sums
static_assert(kBlock % kFloatTileWidth == 0 && kBlock % kFloatPanel == 0, "whole tiles");

// Rows in float32, in panels, less the origin.
struct Packed {
    int64_t n, d, panels, depth_blocks;
    float* data;    // (panels, depth_blocks, kDepth, kFloatPanel)
    double* norms;  // (n)
    float* halves;  // (panels * kFloatPanel) half the squared norm; infinite beyond n

    Packed(int64_t n, int64_t d)
        : n(n), d(d), panels(ceil_div(n, kBlock) * (kBlock / kFloatPanel)),
          depth_blocks(ceil_div(d, kDepth)), data(nullptr), norms(nullptr), halves(nullptr) {}

    int64_t depth(int64_t b) const { return smaller(kDepth, d - b * kDepth); }
    // Panels lie one after the other; each is d rows of kFloatPanel.
    float* panel(int64_t p, int64_t b) const { return data + (p * d + b * kDepth) * kFloatPanel; }
    int64_t size() const { return panels * d * kFloatPanel; }
    int64_t rows_of(int64_t block) const { return smaller(kBlock, n - block * kBlock); }
};

// The best candidates of every query, best first.
struct Lists {
    int64_t kept;
    float* scores;     // (n, kept)
    int64_t* indices;  // (n, kept)
    int* locks;        // (blocks)
};

TK_INLINE void keep(float* scores, int64_t* indices, int64_t last, float score, int64_t index) {
    int64_t at = last;
    for (; at > 0 && scores[at - 1] < score; --at) {
        scores[at] = scores[at - 1];
        indices[at] = indices[at - 1];
    }
    scores[at] = score;
    indices[at] = index;
}

// One row as doubles, scaled.
template <class T>
static void as_doubles(const ScaledRows& given, int64_t i, double* row) {
    const MatrixView& rows = given.rows;
    const T* x = static_cast<const T*>(rows.data) + i * rows.row_stride;
    const double scale = given.scales[i];
    int64_t j = 0;
    if (rows.col_stride == 1)
        for (; j + kLanes <= rows.cols; j += kLanes) store(row + j, load_vector(x + j) * scale);
    for (; j < rows.cols; ++j) row[j] = load_one(x + j * rows.col_stride) * scale;
}

template <class T>
static void pack_panel(const ScaledRows& given, const double* origin, const Packed& packed,
                       int64_t p, double* row) {
    float* to = packed.panel(p, 0);
    for (int64_t i = 0; i < kFloatPanel; ++i) {
        const int64_t at = p * kFloatPanel + i;
        if (at >= packed.n) {
            packed.halves[at] = __builtin_inff();
            for (int64_t j = 0; j < packed.d; ++j) to[j * kFloatPanel + i] = 0.0f;
            continue;
        }
        as_doubles<T>(given, at, row);
        double square = 0.0;
        for (int64_t j = 0; j < packed.d; ++j) {
            const double z = row[j] - origin[j];
            square += z * z;
            to[j * kFloatPanel + i] = static_cast<float>(z);
        }
        packed.norms[at] = __builtin_sqrt(square);
        packed.halves[at] = static_cast<float>(0.5 * square);
    }
}

// products[i * kBlock + j] of the rows of two blocks.
static void multiply(const Packed& left, int64_t left_block, const Packed& right,
                     int64_t right_block, float* products) {
    const int64_t left_panel = left_block * (kBlock / kFloatPanel);
    const int64_t right_panel = right_block * (kBlock / kFloatPanel);
    const int64_t row_end = left.rows_of(left_block), column_end = right.rows_of(right_block);
    const int64_t stride = right.d * kFloatPanel;
    for (int64_t b = 0; b < left.depth_blocks && !stopped(); ++b)
        for (int64_t j = 0; j < column_end; j += kFloatTileWidth) {
            const float* columns = right.panel(right_panel + j / kFloatPanel, b);
            for (int64_t i = 0; i < row_end; i += kFloatRows) {
                const float* rows = left.panel(left_panel + i / kFloatPanel, b) + i % kFloatPanel;
                const FloatTile tile = float_tile_product(columns, stride, rows, left.depth(b));
#pragma GCC unroll 8
                for (int r = 0; r < kFloatRows; ++r)
#pragma GCC unroll 8
                    for (int v = 0; v < kFloatTilePanels; ++v) {
                        float* at = products + (i + r) * kBlock + j + v * kFloats;
                        store_floats(at, b == 0 ? tile.at[r][v] : load_floats(at) + tile.at[r][v]);
                    }
            }
        }
}

// Candidates for the queries of the left block among the rows of the right one.
static void select_by_rows(const NearestNeighborsArgs& args, const Lists& lists,
                           const Packed& left, int64_t left_block, const Packed& right,
                           int64_t right_block, const float* products) {
    const int64_t first_query = left_block * kBlock, first_row = right_block * kBlock;
    const int64_t columns = right.rows_of(right_block), last = lists.kept - 1;
    const float* halves = right.halves + first_row;
    for (int64_t i = 0; i < left.rows_of(left_block); ++i) {
        float* scores = lists.scores + (first_query + i) * lists.kept;
        int64_t* indices = lists.indices + (first_query + i) * lists.kept;
        const float* row = products + i * kBlock;
        for (int64_t j = 0; j < columns; j += kFloats) {
            const VecF32 found = load_floats(row + j) - load_floats(halves + j);
            if (!any_true(found > broadcast_float(scores[last]))) continue;
            for (int lane = 0; lane < kFloats; ++lane) {
                const int64_t index = first_row + j + lane;
                if (found[lane] > scores[last] && !(args.oneself && index == first_query + i))
                    keep(scores, indices, last, found[lane], index);
            }
        }
    }
}

// Candidates for the queries of the right block among the rows of the left one.
static void select_by_columns(const Lists& lists, const Packed& left, int64_t left_block,
                              const Packed& right, int64_t right_block, const float* products) {
    const int64_t first_row = left_block * kBlock, first_query = right_block * kBlock;
    const int64_t columns = right.rows_of(right_block), last = lists.kept - 1;
    alignas(64) float cutoffs[kBlock];
    for (int64_t j = 0; j < ceil_div(columns, kFloats) * kFloats; ++j)
        cutoffs[j] = j < columns ? lists.scores[(first_query + j) * lists.kept + last]
                                 : __builtin_inff();
    for (int64_t i = 0; i < left.rows_of(left_block); ++i) {
        const VecF32 half = broadcast_float(left.halves[first_row + i]);
        const float* row = products + i * kBlock;
        for (int64_t j = 0; j < columns; j += kFloats) {
            const VecF32 found = load_floats(row + j) - half;
            if (!any_true(found > load_floats(cutoffs + j))) continue;
            for (int lane = 0; lane < kFloats; ++lane)
                if (found[lane] > cutoffs[j + lane]) {
                    const int64_t at = (first_query + j + lane) * lists.kept;
                    keep(lists.scores + at, lists.indices + at, last, found[lane], first_row + i);
                    cutoffs[j + lane] = lists.scores[at + last];
                }
        }
    }
}

class Lock {
public:
    explicit Lock(int* lock) : lock_(lock) {
        while (__atomic_exchange_n(lock_, 1, __ATOMIC_ACQUIRE)) yield_thread();
    }
    ~Lock() { __atomic_store_n(lock_, 0, __ATOMIC_RELEASE); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

private:
    int* const lock_;
};

// Squared distance of two rows; the same bits for either order.
static double squared_distance(const double* x, const double* y, int64_t d, double resolution) {
    constexpr int64_t kStep = kSums * kLanes;
    VecD sums[kSums] = {};
    int64_t j = 0;
    for (; j + kStep <= d; j += kStep)
#pragma GCC unroll 4
        for (int v = 0; v < kSums; ++v) {
            const VecD z = load(x + j + v * kLanes) - load(y + j + v * kLanes);
            sums[v] += z * z;
        }
    const VecD sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double total = sum[0];
    for (int lane = 1; lane < kLanes; ++lane) total += sum[lane];
    for (; j < d; ++j) total += (x[j] - y[j]) * (x[j] - y[j]);
    return resolution > 0.0 ? resolution * __builtin_rint(total / resolution) : total;
}

// The nearest so far, sorted by distance and index.
struct Nearest {
    double* squares;
    int64_t* indices;
    int64_t count = 0;

    void add(double square, int64_t index, int64_t most) {
        if (count == most && !before(square, index, most - 1)) return;
        int64_t at = count < most ? count++ : most - 1;
        for (; at > 0 && before(square, index, at - 1); --at) {
            squares[at] = squares[at - 1];
            indices[at] = indices[at - 1];
        }
        squares[at] = square;
        indices[at] = index;
    }

private:
    bool before(double square, int64_t index, int64_t at) const {
        return square < squares[at] || (square == squares[at] && index < indices[at]);
    }
};

// As `uncertified` in the contract's package.
static bool is_proven(const NearestNeighborsArgs& args, double norm, double cutoff, double square) {
    const double reach = __builtin_sqrt(square + args.resolution) * (1.0 + 1e-12);
    const double farthest = (norm + reach) * (1.0 + 1e-12);
    double error = (args.product_error * norm + 2.0 * args.rounding * farthest) * farthest;
    error += args.floor * (norm + farthest) + args.tiny;
    return 0.5 * norm * norm * (1.0 - 1e-12) - cutoff - error > 0.5 * reach * reach;
}

struct Scratch {
    double* rows;      // (kQueryRows, d)
    double* other;     // (d)
    double* squares;   // (kept)
    int64_t* indices;  // (kept)
};

// Final neighbours of the queries of one small block.
template <class T>
static void rank(const NearestNeighborsArgs& args, const Lists& lists, const double* norms,
                 int64_t first, const Scratch& scratch) {
    const int64_t d = args.queries.rows.cols, m = args.others.rows.rows, k = args.k;
    const int64_t end = smaller(args.queries.rows.rows, first + kQueryRows);
    const bool all_kept = args.kept == m - (args.oneself ? 1 : 0);
    int64_t unproven[kQueryRows], n_unproven = 0;
    for (int64_t i = first; i < end; ++i) {
        double* x = scratch.rows + n_unproven * d;
        as_doubles<T>(args.queries, i, x);
        Nearest nearest{scratch.squares, scratch.indices};
        for (int64_t c = 0; c < args.kept; ++c) {
            const int64_t index = lists.indices[i * args.kept + c];
            as_doubles<T>(args.others, index, scratch.other);
            nearest.add(squared_distance(x, scratch.other, d, args.resolution), index, args.kept);
        }
        for (int64_t c = 0; c < k; ++c) {
            args.squares[i * k + c] = nearest.squares[c];
            args.indices[i * k + c] = nearest.indices[c];
        }
        const double cutoff = lists.scores[i * args.kept + args.kept - 1];
        if (!all_kept && !is_proven(args, norms[i], cutoff, nearest.squares[k - 1]))
            unproven[n_unproven++] = i;
    }
    if (n_unproven == 0) return;
    int64_t counts[kQueryRows] = {};
    for (int64_t j = 0; j < m && !stopped(); ++j) {
        as_doubles<T>(args.others, j, scratch.other);
        for (int64_t u = 0; u < n_unproven; ++u) {
            const int64_t i = unproven[u];
            if (args.oneself && i == j) continue;
            Nearest nearest{args.squares + i * k, args.indices + i * k, counts[u]};
            nearest.add(
                squared_distance(scratch.rows + u * d, scratch.other, d, args.resolution), j, k);
            counts[u] = nearest.count;
        }
    }
}

template <class T>
static void pack_all(const ScaledRows& given, const double* origin, const Packed& packed,
                     Queue& queue, double* row) {
    for (int64_t p = queue.next(); p >= 0; p = queue.next())
        pack_panel<T>(given, origin, packed, p, row);
}

// The pair of blocks that an item stands for: columns one after the other, of a triangle or all.
static void pair_of(int64_t item, int64_t blocks, bool triangle, int64_t* left, int64_t* right) {
    if (!triangle) {
        *left = item % blocks;
        *right = item / blocks;
        return;
    }
    int64_t column = 0;
    while (item > column) item -= ++column;
    *left = item;
    *right = column;
}

template <class T>
static void find_all(const NearestNeighborsArgs& args) {
    const int64_t n = args.queries.rows.rows, m = args.others.rows.rows, d = args.others.rows.cols;
    Packed others(m, d), queries(n, d);
    const Buffer<float> other_data(others.size()), query_data(args.oneself ? 0 : queries.size());
    const Buffer<double> other_norms(m), query_norms(args.oneself ? 0 : n);
    const Buffer<float> other_halves(others.panels * kFloatPanel);
    const Buffer<float> query_halves(args.oneself ? 0 : queries.panels * kFloatPanel);
    others.data = other_data.data();
    others.norms = other_norms.data();
    others.halves = other_halves.data();
    queries.data = query_data.data();
    queries.norms = query_norms.data();
    queries.halves = query_halves.data();
    const Packed& left = args.oneself ? others : queries;

    const int64_t blocks = ceil_div(n, kBlock), other_blocks = ceil_div(m, kBlock);
    const Buffer<float> scores(n * args.kept);
    const Buffer<int64_t> indices(n * args.kept);
    const Buffer<int> locks(larger(blocks, other_blocks));
    for (int64_t i = 0; i < n * args.kept; ++i) {
        scores[i] = -__builtin_inff();
        indices[i] = 0;
    }
    for (int64_t b = 0; b < larger(blocks, other_blocks); ++b) locks[b] = 0;
    const Lists lists{args.kept, scores.data(), indices.data(), locks.data()};

    const int64_t pairs = args.oneself ? blocks * (blocks + 1) / 2 : blocks * other_blocks;
    const int64_t query_blocks = ceil_div(n, kQueryRows);
    const int n_threads = static_cast<int>(smaller(args.n_threads, larger(pairs, query_blocks)));
    const int64_t own_doubles = (kQueryRows + 1) * d + args.kept;
    const Buffer<float> products(n_threads * kBlock * kBlock);
    const Buffer<double> doubles(n_threads * own_doubles);
    const Buffer<int64_t> chosen(n_threads * args.kept);
    Queue packing(others.panels), packing_queries(args.oneself ? 0 : queries.panels);
    Queue pairing(pairs), ranking(query_blocks);
    auto body = [&](Member member) {
        double* own = doubles.data() + member.rank * own_doubles;
        const Scratch scratch{own, own + kQueryRows * d, own + (kQueryRows + 1) * d,
                              chosen.data() + member.rank * args.kept};
        float* block = products.data() + member.rank * kBlock * kBlock;
        pack_all<T>(args.others, args.origin, others, packing, own);
        pack_all<T>(args.queries, args.origin, queries, packing_queries, own);
        member.barrier.wait();
        for (int64_t item = pairing.next(); item >= 0; item = pairing.next()) {
            int64_t i, j;
            pair_of(item, blocks, args.oneself, &i, &j);
            multiply(left, i, others, j, block);
            {
                const Lock lock(locks.data() + i);
                select_by_rows(args, lists, left, i, others, j, block);
            }
            if (args.oneself && i != j) {
                const Lock lock(locks.data() + j);
                select_by_columns(lists, left, i, others, j, block);
            }
        }
        member.barrier.wait();
        for (int64_t b = ranking.next(); b >= 0; b = ranking.next())
            rank<T>(args, lists, left.norms, b * kQueryRows, scratch);
    };
    run_team(n_threads, body);
}

}  // namespace

void nearest_neighbors(const NearestNeighborsArgs& args) {
    switch (args.others.rows.dtype) {
        case Dtype::float16: return find_all<Half>(args);
        case Dtype::float32: return find_all<float>(args);
        case Dtype::float64: return find_all<double>(args);
    }
}

}  // namespace TK_ISA
}  // namespace tk
