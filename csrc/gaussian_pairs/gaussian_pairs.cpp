// gaussian_pairs on the CPU: a Cholesky factor in every lane of the vectors, of one class with the
// next ones, so that nothing is summed across lanes.
#include "gaussian_pairs.h"

#include "common/buffer.h"
#include "common/integers.h"
#include "common/parallel.h"
#include "common/simd.h"

namespace tk {
namespace TK_ISA {
namespace {

TK_INLINE VecD root(VecD x) {
    for (int lane = 0; lane < kLanes; ++lane) x[lane] = __builtin_sqrt(x[lane]);
    return x;
}

// A class with up to kLanes others; lanes without one repeat the last.
struct Group {
    int64_t one, others[kLanes];
    int count;
};

static Group group_from(int64_t one, int64_t first, int64_t n_classes) {
    Group group{};
    group.one = one;
    group.count = static_cast<int>(smaller(kLanes, n_classes - first));
    for (int lane = 0; lane < kLanes; ++lane)
        group.others[lane] = smaller(first + lane, n_classes - 1);
    return group;
}

struct Pairs {
    VecD distances, logdets;
    VecI singular;
};

static void put(const GaussianPairsArgs& args, const Group& group, const Pairs& found) {
    for (int lane = 0; lane < group.count; ++lane) {
        const bool singular = found.singular[lane] != 0;
        const double distance = singular ? __builtin_nan("") : found.distances[lane];
        const double logdet = singular ? -__builtin_inf() : found.logdets[lane];
        const int64_t i = group.one, j = group.others[lane];
        args.distances[i * args.n_classes + j] = args.distances[j * args.n_classes + i] = distance;
        args.logdets[i * args.n_classes + j] = args.logdets[j * args.n_classes + i] = logdet;
    }
}

// The mean of element `at` of the matrices of `step` elements each.
TK_INLINE VecD mean_element(const double* values, int64_t step, const Group& group, int64_t at) {
    VecD other;
    for (int lane = 0; lane < kLanes; ++lane) other[lane] = values[group.others[lane] * step + at];
    return 0.5 * (values[group.one * step + at] + other);
}

TK_INLINE VecD difference(const GaussianPairsArgs& args, const Group& group, int64_t a) {
    VecD other;
    for (int lane = 0; lane < kLanes; ++lane)
        other[lane] = args.means[group.others[lane] * args.size + a];
    return args.means[group.one * args.size + a] - other;
}

TK_INLINE void add_logarithms(VecD values, VecI singular, VecD* sums) {
    for (int lane = 0; lane < kLanes; ++lane)
        if (!singular[lane]) (*sums)[lane] += __builtin_log(values[lane]);
}

// Row a of the lower triangle starts at a (a + 1) / 2; `lower` holds the mean matrix, then its factor
// with inverse pivots on the diagonal. The difference of the means is the last row of it all.
static Pairs of_matrices(const GaussianPairsArgs& args, const Group& group, VecD* lower) {
    const int64_t p = args.size;
    VecD largest{};
    for (int64_t b = 0; b < p; ++b)
        for (int64_t a = b; a < p; ++a) {
            const VecD value = mean_element(args.covariances, p * p, group, b * p + a);
            lower[a * (a + 1) / 2 + b] = value;
            if (a == b) largest = value > largest ? value : largest;
        }
    VecD* const last = lower + p * (p + 1) / 2;
    for (int64_t a = 0; a < p; ++a) last[a] = difference(args, group, a);

    const VecD least = static_cast<double>(p) * args.pivot_eps * largest;
    Pairs found{};
    for (int64_t b = 0; b < p; ++b) {
        const VecD* const of_b = lower + b * (b + 1) / 2;
        VecD pivot = of_b[b];
        for (int64_t k = 0; k < b; ++k) pivot -= of_b[k] * of_b[k];
        const VecI regular = pivot > least;
        found.singular |= ~regular;
        // What is not regular goes on with ones, and is left out in the end.
        pivot = regular ? pivot : broadcast(1.0);
        add_logarithms(pivot, found.singular, &found.logdets);
        const VecD inverse = 1.0 / root(pivot);
        lower[b * (b + 1) / 2 + b] = inverse;

        // Four rows at a time share the loads of row b.
        int64_t a = b + 1;
        for (; a + 4 <= p + 1; a += 4) {
            VecD* rows[4];
            VecD sums[4];
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) {
                rows[r] = lower + (a + r) * (a + r + 1) / 2;
                sums[r] = rows[r][b];
            }
            for (int64_t k = 0; k < b; ++k) {
                const VecD x = of_b[k];
#pragma GCC unroll 4
                for (int r = 0; r < 4; ++r) sums[r] -= rows[r][k] * x;
            }
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) rows[r][b] = sums[r] * inverse;
        }
        for (; a <= p; ++a) {
            VecD* const row = lower + a * (a + 1) / 2;
            VecD sum = row[b];
            for (int64_t k = 0; k < b; ++k) sum -= row[k] * of_b[k];
            row[b] = sum * inverse;
        }
        found.distances += last[b] * last[b];
    }
    return found;
}

static Pairs of_variances(const GaussianPairsArgs& args, const Group& group) {
    Pairs found{};
    for (int64_t a = 0; a < args.size; ++a) {
        VecD variance = mean_element(args.covariances, args.size, group, a);
        const VecI regular = variance >= args.smallest_variance;
        found.singular |= ~regular;
        variance = regular ? variance : broadcast(1.0);
        const VecD apart = difference(args, group, a);
        found.distances += apart * apart / variance;
        add_logarithms(variance, found.singular, &found.logdets);
    }
    return found;
}

}  // namespace

void gaussian_pairs(const GaussianPairsArgs& args) {
    const int64_t scratch = args.diagonal ? 1 : (args.size + 1) * (args.size + 2) / 2;
    const int n_threads = static_cast<int>(smaller(args.n_threads, args.n_classes));
    const Buffer<VecD> buffers(n_threads * scratch);
    Queue classes(args.n_classes);
    auto body = [&](Member member) {
        VecD* const lower = buffers.data() + member.rank * scratch;
        for (int64_t i = classes.next(); i >= 0; i = classes.next())
            for (int64_t j = i; j < args.n_classes && !stopped(); j += kLanes) {
                const Group group = group_from(i, j, args.n_classes);
                put(args, group,
                    args.diagonal ? of_variances(args, group) : of_matrices(args, group, lower));
            }
    };
    run_team(n_threads, body);
}

}  // namespace TK_ISA
}  // namespace tk
