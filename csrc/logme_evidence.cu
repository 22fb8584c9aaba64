// Fixed point and log evidence of every LogME target on a GPU; see kernels/logme_evidence/__init__.py.
//
// The Gram matrix is reduced to a band of 32 once, and the moments with it, a panel of 32 rows after
// the other. After that one launch takes every target to its own convergence, one thread block a
// target, and each round is one elimination of the band plus t I with its log determinant and traces.
//
// Expected on an H200 for d = 2048 and 100 targets: a panel takes five launches, of which V takes some
// 35 us (32 dependent reductions over one multiprocessor), the two products 15 us each (0.1 and
// 0.5 GFLOP, 32 MB in the L2 cache), the rest 10 us with launch latencies: 6 ms for the 63 panels. A
// round is 64 eliminations of 32 columns with some 200 cycles a column and a few products of 32 x 32
// tiles, 0.4 ms; a dozen of them 5 ms, for as many targets as run at once, three on a multiprocessor.
// With `warm_start` the targets run one after the other, and that takes K times as long.
#include "logme_evidence_cuda.h"

#include "band_panels.h"
#include "shifted_band.h"

namespace tk {

namespace {

constexpr int64_t kSharedBytes = 160 * 1024;  // of a thread block, that every supported GPU has

PanelArgs panel_args(const ReductionArgs& args, int64_t first) {
    PanelArgs panel{};
    panel.panel = args.matrix + first * args.padded + first + kBand;
    panel.stride = args.padded;
    panel.reflectors = args.factors;
    panel.length = args.padded - first - kBand;
    panel.reflector_stride = panel.length + args.n_targets;
    panel.taus = args.taus;
    const int64_t columns = kReflectors * panel.length * static_cast<int64_t>(sizeof(double));
    panel.in_shared = columns + static_cast<int64_t>(sizeof(PanelShared)) <= kSharedBytes;
    return panel;
}

unsigned blocks_for(int64_t count, int64_t each) {
    return static_cast<unsigned>((count + each - 1) / each);
}

}  // namespace

int64_t partial_sums_size() { return static_cast<int64_t>(kMaxPartials) * kPartial; }

void factor_panel(const ReductionArgs& args, int64_t first, void* stream) {
    const PanelArgs panel = panel_args(args, first);
    const int64_t threads = panel.length < kMaxPanelThreads ? panel.length : kMaxPanelThreads;
    const size_t columns = static_cast<size_t>(panel.length) * kReflectors * sizeof(double);
    launch(factor_panel_kernel, dim3(1), dim3(static_cast<unsigned>(threads)),
           panel.in_shared ? columns : 0, stream, panel);
}

void finish_update(const ReductionArgs& args, int64_t first, void* stream) {
    UpdateArgs update{};
    update.products = args.products;
    update.factors = args.factors;
    update.taus = args.taus;
    update.partials = args.partials;
    update.length = args.padded - first - kBand;
    update.rows = update.length + args.n_targets;
    const unsigned n_chunks = blocks_for(update.length, kChunkRows);
    update.n_partials = static_cast<int>(n_chunks < kMaxPartials ? n_chunks : kMaxPartials);
    launch(sum_overlaps_kernel, dim3(static_cast<unsigned>(update.n_partials)), dim3(128), kOverlapBytes,
           stream, update);
    launch(finish_update_kernel, dim3(blocks_for(update.rows, 128)), dim3(128), 0, stream, update);
}

namespace {

// Degrees of freedom over energy, kept in the range of precisions.
__device__ __forceinline__ double precision(double degrees, double energy, double least) {
    if (energy < least * least) energy = least * least;
    const double quotient = degrees / energy, largest = 1.0 / least;
    return quotient < least ? least : quotient > largest ? largest : quotient;
}

// Every thread of a block holds the same values of these.
struct Target {
    double alpha, beta, ratio, norm, residual;
};

// One target a thread block at a time, to its convergence.
__global__ void __launch_bounds__(kSweepThreads, 2) fit_targets_kernel(const FitArgs args) {
    TK_DYNAMIC_SHARED(SweepShared, shared);
    ShiftedBand shifted{};
    shifted.band = {args.matrix, args.padded, args.size, args.padded / kBand};
    shifted.drop_null = !args.dual;  // primal moments have no part in the null space but rounding
    const BlockBand& band = shifted.band;
    const Workspace workspace(
        args.workspace + blockIdx.x * Workspace::elements(band.n_blocks), band.n_blocks);

    double trace[4] = {}, largest = 0.0;
    for (int64_t i = threadIdx.x; i < args.size; i += kSweepThreads)
        trace[0] += args.matrix[i * args.padded + i];
    for (int64_t i = threadIdx.x % 32; i < args.size; i += 32) {
        const double value = args.matrix[i * args.padded + i];
        if (value > largest) largest = value;
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        const double other = __shfl_xor_sync(kFullMask, largest, distance);
        if (other > largest) largest = other;
    }
    sum_over_threads(trace, *shared);
    const double mean = trace[0] / static_cast<double>(args.size);
    constexpr double kRounding = 4.0 * 2.220446049250313e-16;
    shifted.noise = kRounding * largest;

    const double n = static_cast<double>(args.n_samples);
    const double size = static_cast<double>(args.size);
    Target target{};
    for (int64_t k = blockIdx.x; k < args.n_targets; k += gridDim.x) {
        const double* const moments = args.matrix + (args.padded + k) * args.padded;
        if (!args.warm_start || k == 0) target.alpha = target.beta = 1.0;
        for (int64_t round = 0; round < args.max_rounds; ++round) {
            const double t = shifted.t = target.alpha / target.beta;
            shifted.shift_is_large = t >= mean;
            const Elimination found = eliminate(shifted, moments, workspace, *shared);
            const double norm = substitute_back(shifted, workspace, *shared);
            target.ratio = t;
            target.norm = args.dual ? quadratic_form(band, workspace, *shared) : norm;
            target.residual =
                args.dual ? t * t * norm : args.squares[k] - found.energy - t * norm;
            if (target.residual < 0.0) target.residual = 0.0;
            const double noise = n - size + found.left_over;
            const double least = args.smallest_precision;
            target.alpha = precision(found.fitted, target.norm + args.epsilon, least);
            target.beta = precision(noise, target.residual + args.epsilon, least);
            if (fabs(target.alpha / target.beta - t) <= args.tolerance * t) break;
        }

        shifted.t = target.alpha / target.beta;
        shifted.shift_is_large = shifted.t >= mean;
        const Elimination found = eliminate(shifted, moments, workspace, *shared);
        if (threadIdx.x == 0) {
            const double log_alpha = log(target.alpha), log_beta = log(target.beta);
            const double counted =
                args.full_spectrum ? size : static_cast<double>(args.n_features);
            const double added = args.epsilon_in_evidence ? args.epsilon : 0.0;
            const double evidence = counted * log_alpha + n * log_beta -
                                    (found.log_determinant + size * log_beta) -
                                    target.beta * (target.residual + added) -
                                    target.alpha * (target.norm + added) -
                                    n * 1.837877066409345484;  // ln 2 pi
            args.results[k] = 0.5 * evidence / n;
            args.results[args.n_targets + k] = target.alpha;
            args.results[2 * args.n_targets + k] = target.beta;
            args.results[3 * args.n_targets + k] = target.ratio;
        }
    }
}

}  // namespace

int64_t fit_workspace_size(int64_t padded) { return Workspace::elements(padded / kBand); }

void fit_targets(const FitArgs& args, void* stream) {
    launch(fit_targets_kernel, dim3(static_cast<unsigned>(args.n_blocks)), dim3(kSweepThreads),
           sizeof(SweepShared), stream, args);
}

}  // namespace tk
