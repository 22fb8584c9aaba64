// Fixed point and log evidence of all LogME targets; see kernels/logme_evidence/__init__.py.
//
// The Gram matrix is reduced to a band of 32 once, and the moments with it, a panel of 32 rows
// after the other. After that one launch takes every target to its own convergence, one thread
// block a target, and each round is one elimination of the band plus t I with its log determinant
// and traces.
//
// Expected, not measured, on an H200 for d = 2048 and 100 targets: a panel takes five launches, of
// which V takes some 50 us (32 dependent reductions over one multiprocessor), the two products 15 us
// each (0.1 and 0.5 GFLOP, 32 MB in the L2 cache), the rest 10 us with the gaps between launches:
// 6 ms for the 63 panels. A round is 64 times 32 columns of some 200 dependent cycles, and a few products of
// 32 x 32 tiles: 0.35 ms; a dozen of them 5 ms, for as many targets as run at once, two on a
// multiprocessor. With `warm_start` the targets run one after the other, and that takes as often as
// long.
#include "logme_evidence_cuda.h"

#include "band_panels.cuh"
#include "device/cuda_devices.h"
#include "shifted_band.cuh"

namespace tk {

namespace {

PanelArgs panel_args(const ReductionArgs& args, int64_t first) {
    PanelArgs panel{};
    panel.panel = args.matrix + first * args.padded + first + kBand;
    panel.stride = args.padded;
    panel.reflectors = args.factors;
    panel.length = args.padded - first - kBand;
    panel.reflector_stride = panel.length + args.n_targets;
    panel.taus = args.taus;
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
    const dim3 block(static_cast<unsigned>(threads));
    const size_t columns = static_cast<size_t>(panel.length) * kReflectors * sizeof(double);
    if (columns + sizeof(PanelShared) <= shared_memory_per_block())
        launch(factor_panel_kernel<true>, dim3(1), block, columns, stream, panel);
    else
        launch(factor_panel_kernel<false>, dim3(1), block, 0, stream, panel);
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
    launch(sum_overlaps_kernel, dim3(static_cast<unsigned>(update.n_partials)), dim3(128),
           kOverlapBytes, stream, update);
    launch(finish_update_kernel, dim3(blocks_for(update.rows, 128)), dim3(128), 0, stream, update);
}

namespace {

__host__ __device__ int blocks_in(int64_t padded) { return static_cast<int>(padded / kBand); }

// Degrees of freedom over energy, kept in the range of precisions.
__device__ __forceinline__ double precision(double degrees, double energy, double least) {
    if (energy < least * least) energy = least * least;
    const double quotient = degrees / energy, largest = 1.0 / least;
    return quotient < least ? least : quotient > largest ? largest : quotient;
}

// In shared memory.
struct Target {
    double alpha, beta;
    double ratio, norm, residual;  // t, m.m and |y - F m|^2 of the last m
    bool converged;
};

// The next alpha and beta; `norm` is that of (gram + t I)^-1 moments, `image` its product with the
// gram matrix between.
__device__ void update(const FitArgs& args, const Elimination& found, double norm, double image,
                       double square, Target& target) {
    const double t = target.alpha / target.beta;
    target.ratio = t;
    target.norm = args.dual ? image : norm;
    target.residual = args.dual ? t * t * norm : square - found.energy - t * norm;
    if (target.residual < 0.0) target.residual = 0.0;
    const double noise = static_cast<double>(args.n_samples - args.size) + found.left_over;
    const double least = args.smallest_precision;
    target.alpha = precision(found.fitted, target.norm + args.epsilon, least);
    target.beta = precision(noise, target.residual + args.epsilon, least);
    target.converged = fabs(target.alpha / target.beta - t) <= args.tolerance * t;
}

__device__ void conclude(const FitArgs& args, double log_determinant, const Target& target,
                         double* results) {
    const double n = static_cast<double>(args.n_samples), size = static_cast<double>(args.size);
    const double log_alpha = log(target.alpha), log_beta = log(target.beta);
    const double counted = args.full_spectrum ? size : static_cast<double>(args.n_features);
    const double added = args.epsilon_in_evidence ? args.epsilon : 0.0;
    const double evidence = counted * log_alpha + n * log_beta -
                            (log_determinant + size * log_beta) -
                            target.beta * (target.residual + added) -
                            target.alpha * (target.norm + added) -
                            n * 1.837877066409345484;  // ln 2 pi
    results[0] = 0.5 * evidence / n;
    results[args.n_targets] = target.alpha;
    results[2 * args.n_targets] = target.beta;
    results[3 * args.n_targets] = target.ratio;
}

// Bounds on t that the band has: in shared memory.
struct Scales {
    double mean;   // eigenvalue
    double noise;  // rounding error in the band
};

__device__ void find_scales(const BlockBand& band, SweepShared& shared, Scales& scales) {
    double trace[4] = {}, largest = 0.0;
    for (int64_t i = threadIdx.x; i < band.size; i += kSweepThreads)
        trace[0] += band.values[i * band.stride + i];
    for (int64_t i = threadIdx.x % 32; i < band.size; i += 32) {
        const double value = band.values[i * band.stride + i];
        if (value > largest) largest = value;
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        const double other = __shfl_xor_sync(kFullMask, largest, distance);
        if (other > largest) largest = other;
    }
    sum_over_threads(trace, shared);
    constexpr double kRounding = 4.0 * 2.220446049250313e-16;
    if (threadIdx.x == 0) scales = {trace[0] / static_cast<double>(band.size), kRounding * largest};
}

// One target a thread block at a time, to its convergence.
__global__ void __launch_bounds__(kSweepThreads, 2) fit_targets_kernel(const FitArgs args) {
    TK_DYNAMIC_SHARED(SweepShared, shared);
    TK_SHARED(Target, target, [1]);
    TK_SHARED(Scales, scales, [1]);
    const BlockBand band{args.matrix, args.padded, args.size, blocks_in(args.padded)};
    const Workspace workspace(args.workspace + blockIdx.x * Workspace::elements(band.n_blocks),
                              band.n_blocks);
    find_scales(band, *shared, *scales);

    for (int64_t k = blockIdx.x; k < args.n_targets; k += gridDim.x) {
        const double* const moments = args.matrix + (args.padded + k) * args.padded;
        if (threadIdx.x == 0) {
            if (!args.warm_start || k == 0) target->alpha = target->beta = 1.0;
            target->converged = false;
        }
        for (int64_t round = 0;; ++round) {
            if (threadIdx.x == 0) {
                Shift& shift = shared->shift;
                shift.t = target->alpha / target->beta;
                shift.noise = scales->noise;
                shift.is_large = shift.t >= scales->mean;
                // The primal moments have no part in the null space but rounding errors.
                shift.drop_null = !args.dual;
            }
            __syncthreads();
            const Elimination found = BandElimination(band, moments, workspace, *shared).run();
            if (round == args.max_rounds || target->converged) {
                if (threadIdx.x == 0)
                    conclude(args, found.log_determinant, *target, args.results + k);
                break;
            }
            const double norm = substitute_back(band.n_blocks, workspace, *shared);
            const double image = args.dual ? quadratic_form(band, workspace, *shared) : 0.0;
            if (threadIdx.x == 0) update(args, found, norm, image, args.squares[k], *target);
        }
        __syncthreads();
    }
}

}  // namespace

int64_t fit_workspace_size(int64_t padded) { return Workspace::elements(blocks_in(padded)); }

void fit_targets(const FitArgs& args, void* stream) {
    launch(fit_targets_kernel, dim3(static_cast<unsigned>(args.n_blocks)), dim3(kSweepThreads),
           sizeof(SweepShared), stream, args);
}

}  // namespace tk
