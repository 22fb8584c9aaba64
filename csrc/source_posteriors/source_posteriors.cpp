// source_posteriors on the CPU: runs of samples of one class over the threads, then class by class.
#include "source_posteriors.h"

#include "common/buffer.h"
#include "common/integers.h"
#include "common/load_rows.h"
#include "common/parallel.h"

namespace tk {
namespace TK_ISA {
namespace {

// Independent sums, so that one addition need not wait for the last.
constexpr int kSums = 4;
constexpr int64_t kStep = kSums * kLanes;

TK_INLINE double sum_lanes(const VecD (&sums)[kSums]) {
    const VecD all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    double total = all[0];
    for (int lane = 1; lane < kLanes; ++lane) total += all[lane];
    return total;
}

TK_INLINE double least_of(double a, double b) { return b < a ? b : a; }

// A dense row as doubles in the cache, zeros up to `width`, a multiple of the step.
class DenseRow {
public:
    DenseRow(const PosteriorRows& theta, double* row, int64_t width)
        : theta_(theta), row_(row), width_(width) {
        for (int64_t z = theta.cols; z < width; ++z) row[z] = 0.0;
    }

    template <class T>
    void read(int64_t i) {
        row_as_doubles(static_cast<const T*>(theta_.data) + i * theta_.row_stride,
                       theta_.col_stride, theta_.cols, row_);
    }

    // Row . weights; both are zero beyond the last column.
    double product(const double* weights) const {
        VecD sums[kSums] = {};
        for (int64_t z = 0; z < width_; z += kStep)
#pragma GCC unroll 4
            for (int v = 0; v < kSums; ++v)
                sums[v] += load(row_ + z + v * kLanes) * load(weights + z + v * kLanes);
        return sum_lanes(sums);
    }

    void add_to(double* total, double share) const {
        for (int64_t z = 0; z < width_; z += kLanes)
            store(total + z, load(total + z) + share * load(row_ + z));
    }

    void extent(double* total, double* lowest) const {
        VecD sums[kSums] = {}, least = broadcast(row_[0]);
        int64_t z = 0;
        for (; z < width_; z += kStep)
#pragma GCC unroll 4
            for (int v = 0; v < kSums; ++v) sums[v] += load(row_ + z + v * kLanes);
        for (z = 0; z + kLanes <= theta_.cols; z += kLanes) {
            const VecD x = load(row_ + z);
            least = x < least ? x : least;
        }
        double found = least[0];
        for (int lane = 1; lane < kLanes; ++lane) found = least_of(found, least[lane]);
        for (; z < theta_.cols; ++z) found = least_of(found, row_[z]);
        *total = sum_lanes(sums);
        *lowest = found;
    }

private:
    const PosteriorRows& theta_;
    double* const row_;
    const int64_t width_;
};

// The entries of a CSR row where they are.
class SparseRow {
public:
    SparseRow(const PosteriorRows& theta, double*, int64_t) : theta_(theta) {}

    template <class T>
    void read(int64_t i) {
        first_ = theta_.indptr[i];
        count_ = theta_.indptr[i + 1] - first_;
        is_float_ = sizeof(T) == sizeof(float);
    }

    double product(const double* weights) const {
        double sum = 0.0;
        for (int64_t k = first_; k < first_ + count_; ++k)
            sum += entry(k) * weights[theta_.indices[k]];
        return sum;
    }

    void add_to(double* total, double share) const {
        for (int64_t k = first_; k < first_ + count_; ++k)
            total[theta_.indices[k]] += share * entry(k);
    }

    void extent(double* total, double* lowest) const {
        double sum = 0.0, least = count_ < theta_.cols ? 0.0 : entry(first_);
        for (int64_t k = first_; k < first_ + count_; ++k) {
            sum += entry(k);
            least = least_of(least, entry(k));
        }
        *total = sum;
        *lowest = least;
    }

private:
    double entry(int64_t k) const {
        return is_float_ ? static_cast<const float*>(theta_.data)[k]
                         : static_cast<const double*>(theta_.data)[k];
    }

    const PosteriorRows& theta_;
    int64_t first_ = 0, count_ = 0;
    bool is_float_ = false;
};

static int64_t padded(int64_t cols) { return ceil_div(cols, kStep) * kStep; }

static void copy_padded(const double* from, int64_t count, double* to, int64_t width) {
    for (int64_t z = 0; z < count; ++z) to[z] = from[z];
    for (int64_t z = count; z < width; ++z) to[z] = 0.0;
}

// Hands each piece's rows to visit(row, i, piece), in order, and between them prepare(thread, piece).
template <class Row, class T, class Prepare, class Visit>
static void for_each_piece(const SourcePosteriorsArgs& args, Prepare prepare, Visit visit) {
    const int64_t width = padded(args.theta.cols);
    const int n_threads = static_cast<int>(smaller(args.n_threads, args.n_pieces));
    const Buffer<double> rows(n_threads * width);
    Queue pieces(args.n_pieces);
    auto body = [&](Member member) {
        Row row(args.theta, rows.data() + member.rank * width, width);
        for (int64_t p = pieces.next(); p >= 0; p = pieces.next()) {
            const int64_t* piece = args.pieces + 3 * p;
            prepare(member.rank, p, piece[0]);
            for (int64_t place = piece[1]; place < piece[2]; ++place) {
                const int64_t i = args.order[place];
                row.template read<T>(i);
                visit(member.rank, p, piece[0], i, row);
            }
        }
    };
    run_team(n_threads, body);
}

// Adds the pieces' totals (n_pieces, width), class by class in their order, to zeroed sums.
template <class Add>
static void add_pieces(const SourcePosteriorsArgs& args, Add add) {
    for (int64_t k = 0; k < args.n_classes * args.theta.cols; ++k) args.sums[k] = 0.0;
    for (int64_t p = 0; p < args.n_pieces; ++p)
        add(p, args.pieces[3 * p], args.sums + args.pieces[3 * p] * args.theta.cols);
}

template <class Row, class T>
static void class_sums_of(const SourcePosteriorsArgs& args) {
    const int64_t cols = args.theta.cols, width = padded(cols);
    const Buffer<double> totals(args.n_pieces * width);
    for_each_piece<Row, T>(
        args,
        [&](int, int64_t p, int64_t) {
            for (int64_t z = 0; z < width; ++z) totals[p * width + z] = 0.0;
        },
        [&](int, int64_t p, int64_t, int64_t i, const Row& row) {
            row.add_to(totals.data() + p * width, 1.0);
            row.extent(args.totals + i, args.lowest + i);
        });
    add_pieces(args, [&](int64_t p, int64_t, double* sums) {
        for (int64_t z = 0; z < cols; ++z) sums[z] += totals[p * width + z];
    });
}

template <class Row, class T>
static void own_class_of(const SourcePosteriorsArgs& args) {
    const int64_t cols = args.theta.cols, width = padded(cols);
    const Buffer<double> tables(args.n_threads * width);
    for_each_piece<Row, T>(
        args,
        [&](int thread, int64_t, int64_t c) {
            copy_padded(args.table + c * cols, cols, tables.data() + thread * width, width);
        },
        [&](int thread, int64_t, int64_t, int64_t i, const Row& row) {
            args.values[i] = row.product(tables.data() + thread * width);
        });
}

template <class Row, class T>
static void tilted_sums_of(const SourcePosteriorsArgs& args) {
    const int64_t cols = args.theta.cols, width = padded(cols);
    const Buffer<double> tables(args.n_threads * width), totals(args.n_pieces * width);
    // Of each thread the floor's part of a norm; of each piece the sums of 1 / norm and of ln norm.
    const Buffer<double> bases(args.n_threads), inverses(args.n_pieces), logs(args.n_pieces);
    for_each_piece<Row, T>(
        args,
        [&](int thread, int64_t p, int64_t c) {
            double* const table = tables.data() + thread * width;
            copy_padded(args.table + c * cols, cols, table, width);
            double base = 0.0;
            for (int64_t z = 0; z < cols; ++z) base += table[z];
            bases[thread] = args.floor * base;
            for (int64_t z = 0; z < width; ++z) totals[p * width + z] = 0.0;
            inverses[p] = logs[p] = 0.0;
        },
        [&](int thread, int64_t p, int64_t, int64_t, const Row& row) {
            const double norm = row.product(tables.data() + thread * width) + bases[thread];
            row.add_to(totals.data() + p * width, 1.0 / norm);
            inverses[p] += 1.0 / norm;
            logs[p] += __builtin_log(norm);
        });
    double log_norm = 0.0;
    add_pieces(args, [&](int64_t p, int64_t c, double* sums) {
        const double* table = args.table + c * cols;
        const double floor = args.floor * inverses[p];
        for (int64_t z = 0; z < cols; ++z)
            sums[z] += table[z] * (totals[p * width + z] + floor);
        log_norm += logs[p];
    });
    *args.log_norm = log_norm;
}

}  // namespace

#define TK_OF_POSTERIORS(name)                                             \
    void name(const SourcePosteriorsArgs& args) {                          \
        const bool sparse = args.theta.indptr != nullptr;                  \
        switch (args.theta.dtype) {                                        \
            case Dtype::float16: return name##_of<DenseRow, Half>(args);   \
            case Dtype::float32:                                           \
                if (sparse) return name##_of<SparseRow, float>(args);      \
                return name##_of<DenseRow, float>(args);                   \
            case Dtype::float64:                                           \
                if (sparse) return name##_of<SparseRow, double>(args);     \
                return name##_of<DenseRow, double>(args);                  \
        }                                                                  \
    }

TK_OF_POSTERIORS(class_sums)
TK_OF_POSTERIORS(own_class)
TK_OF_POSTERIORS(tilted_sums)

#undef TK_OF_POSTERIORS

}  // namespace TK_ISA
}  // namespace tk
