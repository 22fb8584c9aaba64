// principal_axes on the CPU: LogME's reduction to a band; bisection and inverse iteration on that, a
// different eigenvalue in every lane of the vectors; and back through the reduction, wanted axes only.
//
// Bisection counts the negative pivots of B - s I. Inverse iteration factors it by reflections, which
// need no pivoting, so that all lanes take the same steps. Eigenvectors of eigenvalues that agree come
// out as some vectors of their common space: it is for the caller to make all of them orthogonal.
#include "principal_axes.h"

#include "common/buffer.h"
#include "common/integers.h"
#include "common/parallel.h"
#include "common/simd.h"
#include "logme_evidence/band_reduction.h"

namespace tk {
namespace TK_ISA {

namespace {

constexpr int64_t kSmall = 192;   // size below which threads cost more than they bring
constexpr int64_t kAtFirst = 64;  // eigenvalues sought before their sum is looked at
constexpr int kIterations = 3;
// How many roundings beside an eigenvalue the iteration is shifted: so far that all that agree with it
// to rounding come out alike strong, and vectors that start apart end apart.
constexpr double kAside = 512.0;
constexpr double kEps = 2.220446049250313e-16;

TK_INLINE VecD root(VecD x) {
    for (int lane = 0; lane < kLanes; ++lane) x[lane] = __builtin_sqrt(x[lane]);
    return x;
}

TK_INLINE VecD magnitude(VecD x) { return x < 0.0 ? -x : x; }

class BandEigenpairs {
public:
    static constexpr int64_t kWindow = kBandwidth < 16 ? 16 : 32;  // columns, a power of two
    static constexpr int64_t kUpper = 2 * kBandwidth;              // of the factor R
    static_assert(kBandwidth < kWindow, "columns fit");

    // Vectors of scratch for each thread.
    static int64_t scratch_size(int64_t size) { return size * (kUpper + 1 + kBandwidth + 1); }

    explicit BandEigenpairs(const BandMatrix& band) : band_(band), norm_(0.0) {
        for (int64_t j = 0; j < band.size; ++j) {
            double sum = 0.0;
            for (int64_t k = 0; k <= kBandwidth; ++k) {
                if (j + k < band.size) sum += __builtin_fabs(below(j, k));
                if (k > 0 && j - k >= 0) sum += __builtin_fabs(below(j - k, k));
            }
            if (sum > norm_) norm_ = sum;
        }
        tiny_ = kEps * norm_ + 1e-300;
    }

    // Eigenvalues first, first + 1 ... in descending order, one in each lane.
    void bisect(int64_t first, int64_t count, double* values) const {
        VecD low = broadcast(-norm_ - tiny_), high = broadcast(norm_ + tiny_);
        VecI ranks;
        for (int lane = 0; lane < kLanes; ++lane) ranks[lane] = first + smaller(lane, count - 1);
        for (int step = 0; step < 200 && !stopped(); ++step) {
            const VecD middle = 0.5 * (low + high);
            const VecI above = greater(middle) > ranks;
            low = above ? middle : low;
            high = above ? high : middle;
            bool done = true;
            for (int lane = 0; lane < kLanes; ++lane) done &= high[lane] - low[lane] <= tiny_;
            if (done) break;
        }
        for (int64_t lane = 0; lane < count; ++lane) values[lane] = 0.5 * (low[lane] + high[lane]);
    }

    // The eigenvectors of a value in each lane, of unit length, as `vectors`, (size,) of them.
    void iterate(VecD values, int64_t first, VecD* vectors, VecD* scratch) const {
        const int64_t n = band_.size;
        VecD* const upper = scratch;  // row i of R: columns i ... i + kUpper
        VecD* const reflectors = upper + n * (kUpper + 1);
        factor(values + kAside * tiny_, upper, reflectors);
        start(first, vectors);
        for (int round = 0; round < kIterations && !stopped(); ++round) {
            for (int64_t j = 0; j < n; ++j)
                reflect(reflectors + j * (kBandwidth + 1), n - j, vectors + j);
            VecD square{};
            for (int64_t i = n - 1; i >= 0; --i) {
                const VecD* const row = upper + i * (kUpper + 1);
                VecD sums[2] = {vectors[i], VecD{}};
                const int64_t end = smaller(kUpper, n - 1 - i);
                for (int64_t k = 1; k <= end; ++k) sums[k & 1] -= row[k] * vectors[i + k];
                vectors[i] = (sums[0] + sums[1]) * row[0];
                square += vectors[i] * vectors[i];
            }
            const VecD scale = 1.0 / root(square);
            for (int64_t i = 0; i < n; ++i) vectors[i] *= scale;
        }
    }

private:
    double below(int64_t j, int64_t k) const { return band_.values[j * kBandColumn + k]; }

    // How many eigenvalues are above s: n less the negative pivots of B - s I.
    VecI greater(VecD s) const {
        constexpr int64_t b = kBandwidth, mask = kWindow - 1;
        const int64_t n = band_.size;
        VecD window[kWindow][b + 1];
        for (int64_t j = 0; j < b; ++j) enter(j, s, window[j & mask]);
        VecI found = VecI{};
        for (int64_t j = 0; j < n; ++j) {
            enter(j + b, s, window[(j + b) & mask]);
            const VecD* const column = window[j & mask];
            VecD pivot = column[0];
            const VecI none = magnitude(pivot) < tiny_;
            pivot = none ? broadcast(-tiny_) : pivot;
            found -= pivot > 0.0;
            const VecD inverse = 1.0 / pivot;
#pragma GCC unroll 16
            for (int64_t q = 1; q <= b; ++q) {
                VecD* const other = window[(j + q) & mask];
                const VecD multiplier = column[q] * inverse;
#pragma GCC unroll 16
                for (int64_t i = q; i <= b; ++i) other[i - q] -= column[i] * multiplier;
            }
        }
        return found;
    }

    // Column j of B - s I, zeros beyond the matrix.
    void enter(int64_t j, VecD s, VecD* column) const {
        for (int64_t k = 0; k <= kBandwidth; ++k)
            column[k] = j < band_.size && j + k < band_.size ? broadcast(below(j, k)) : VecD{};
        if (j < band_.size) column[0] -= s;
    }

    // B - s I = Q R by a reflection a column; of R's diagonal the inverses are kept.
    void factor(VecD s, VecD* upper, VecD* reflectors) const {
        constexpr int64_t b = kBandwidth;
        const int64_t n = band_.size;
        VecD rows[b + 1][kUpper + 1];  // rows j ... j + b, columns j ... j + kUpper
        for (int64_t r = 0; r <= b; ++r) load_row(r, 0, s, rows[r]);
        for (int64_t j = 0; j < n; ++j) {
            VecD* const v = reflectors + j * (b + 1);
            VecD square{};
            for (int64_t r = 1; r <= b; ++r) square += rows[r][0] * rows[r][0];
            const VecD head = rows[0][0];
            const VecD norm = root(head * head + square);
            const VecI empty = norm < tiny_ * 1e-100;
            const VecD image = head > 0.0 ? -norm : norm;
            const VecD first = head - image;
            const VecD safe = empty ? broadcast(1.0) : first;
            // H = I - tau v v^T with v[0] = 1; tau stands in the place of v[0].
            const VecD tau = empty ? VecD{} : (image - head) / image;
            v[0] = tau;
            for (int64_t r = 1; r <= b; ++r) v[r] = empty ? VecD{} : rows[r][0] / safe;
            VecD* const out = upper + j * (kUpper + 1);
            VecD pivot = empty ? head : image;
            const VecI none = magnitude(pivot) < tiny_;
            pivot = none ? (pivot < 0.0 ? broadcast(-tiny_) : broadcast(tiny_)) : pivot;
            out[0] = 1.0 / pivot;
            for (int64_t k = 1; k <= kUpper; ++k) {
                VecD share = rows[0][k];
                for (int64_t r = 1; r <= b; ++r) share += v[r] * rows[r][k];
                share *= tau;
                out[k] = rows[0][k] - share;
                // One up and one to the left, for the next column.
                for (int64_t r = 1; r <= b; ++r) rows[r - 1][k - 1] = rows[r][k] - v[r] * share;
            }
            for (int64_t r = 0; r < b; ++r) rows[r][kUpper] = VecD{};
            load_row(j + 1 + b, j + 1, s, rows[b]);
        }
    }

    // Row i of B - s I from column `first` on, kUpper + 1 of them, zeros beyond the matrix.
    void load_row(int64_t i, int64_t first, VecD s, VecD* row) const {
        for (int64_t k = 0; k <= kUpper; ++k) {
            const int64_t j = first + k, low = smaller(i, j), apart = larger(i, j) - low;
            const bool inside = larger(i, j) < band_.size && apart <= kBandwidth;
            row[k] = inside ? broadcast(below(low, apart)) : VecD{};
            if (inside && apart == 0) row[k] -= s;
        }
    }

    static void reflect(const VecD* v, int64_t rest, VecD* x) {
        const int64_t end = smaller(kBandwidth, rest - 1);
        VecD share = x[0];
        for (int64_t r = 1; r <= end; ++r) share += v[r] * x[r];
        share *= v[0];
        x[0] -= share;
        for (int64_t r = 1; r <= end; ++r) x[r] -= v[r] * share;
    }

    // Numbers in [-1, 1] that depend on the eigenvalue's rank, so that no two vectors start alike.
    void start(int64_t first, VecD* vectors) const {
        uint64_t states[kLanes];
        for (int lane = 0; lane < kLanes; ++lane)
            states[lane] = 0x9e3779b97f4a7c15u * static_cast<uint64_t>(first + lane + 1);
        for (int64_t i = 0; i < band_.size; ++i)
            for (int lane = 0; lane < kLanes; ++lane) {
                uint64_t z = states[lane] += 0x9e3779b97f4a7c15u;  // splitmix64
                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
                z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
                vectors[i][lane] = static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0;
            }
    }

    const BandMatrix band_;
    double norm_, tiny_;
};

}  // namespace

void principal_axes(const PrincipalAxesArgs& args) {
    const int64_t n = args.size;
    BandReduction reduction(n, 0, true);
    auto reduce = [&](Member member) { reduction.run(member, args.gram, nullptr); };
    run_team(n < kSmall ? 1 : args.n_threads, reduce);
    const BandEigenpairs pairs(reduction.band());

    // Eigenvalues, some more at a time until they are enough.
    int64_t found = 0, wanted = args.n_axes > 0 ? args.n_axes : smaller(kAtFirst, args.most);
    double sum = 0.0;
    while (true) {
        const int64_t n_groups = ceil_div(wanted - found, kLanes);
        Queue queue(n_groups);
        auto bisect = [&](Member) {
            for (int64_t g = queue.next(); g >= 0; g = queue.next()) {
                const int64_t first = found + g * kLanes;
                pairs.bisect(first, smaller(kLanes, wanted - first), args.values + first);
            }
        };
        run_team(static_cast<int>(smaller(args.n_threads, n_groups)), bisect);
        if (args.n_axes > 0) break;
        int64_t k = found;
        for (; k < wanted && sum <= args.wanted; ++k)
            sum += args.values[k] > 0.0 ? args.values[k] : 0.0;
        if (sum > args.wanted || wanted == args.most) {
            wanted = sum > args.wanted ? k : 0;
            break;
        }
        found = wanted;
        wanted = smaller(args.most, 2 * wanted);
    }
    *args.n_found = wanted;
    if (wanted == 0) return;

    // Eigenvectors, a group of columns at a time: on the band, and back to the matrix.
    constexpr int64_t kColumns = kProductColumns;
    static_assert(kColumns % kLanes == 0, "lanes are columns");
    const int64_t n_groups = ceil_div(wanted, kColumns);
    const int n_threads = static_cast<int>(smaller(args.n_threads, n_groups));
    const int64_t group_size = reduction.group_size();
    const int64_t scratch_size = BandEigenpairs::scratch_size(n);
    const Buffer<double> groups(n_threads * group_size);
    const Buffer<VecD> scratch(n_threads * (scratch_size + n));
    Queue queue(n_groups);
    auto work = [&](Member member) {
        double* const columns = groups.data() + member.rank * group_size;
        VecD* const own = scratch.data() + member.rank * (scratch_size + n);
        VecD* const vectors = own + scratch_size;
        for (int64_t g = queue.next(); g >= 0; g = queue.next()) {
            for (int64_t k = 0; k < group_size; ++k) columns[k] = 0.0;
            for (int64_t c = 0; c < kColumns && g * kColumns + c < wanted; c += kLanes) {
                const int64_t first = g * kColumns + c;
                VecD values;
                for (int lane = 0; lane < kLanes; ++lane)
                    values[lane] = args.values[smaller(first + lane, wanted - 1)];
                pairs.iterate(values, first, vectors, own);
                for (int64_t i = 0; i < n; ++i) store(columns + i * kColumns + c, vectors[i]);
            }
            reduction.restore(columns);
            const int64_t count = smaller(kColumns, wanted - g * kColumns);
            for (int64_t c = 0; c < count; ++c)
                for (int64_t i = 0; i < n; ++i)
                    args.vectors[(g * kColumns + c) * n + i] = columns[i * kColumns + c];
        }
    };
    run_team(n_threads, work);
}

}  // namespace TK_ISA
}  // namespace tk
