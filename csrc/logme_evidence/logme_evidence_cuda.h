// What Python calls of LogME's evidence on a GPU; no CUDA here.
#pragma once

#include <cstdint>

namespace tk {

constexpr int64_t kBandRows = 32;  // d is padded to a multiple of it

// `matrix` (padded + n_targets, padded) in rows: the symmetric Gram matrix, zeros up to `padded`,
// and the moments' transpose below it. `reduce_panel` is called for first = 0, 32, ... padded - 64
// and in between, with V, W the `factors`, the caller does the two large products.
struct ReductionArgs {
    double* matrix;
    int64_t padded, n_targets;
    double* factors;   // (96, rows): V^T, W^T, V^T of `rows` = padded + n_targets - first - 32
    double* products;  // (32, rows): Y^T, with Y = (matrix from row and column first + 32 on) V
    double* taus;      // (32,)
    double* partials;  // partial_sums() of padded
};

// Doubles that `partials` has to hold.
int64_t partial_sums_size();

// Householder vectors of the panel right of the diagonal block `first`: V^T, where V is not zero.
void factor_panel(const ReductionArgs& args, int64_t first, void* stream);

// The rest of `factors`, from `products`.
void finish_update(const ReductionArgs& args, int64_t first, void* stream);

struct FitArgs {
    const double* matrix;   // as the reduction leaves it
    const double* squares;  // (n_targets,)
    int64_t size, padded, n_targets, n_samples, n_features;
    bool dual;

    double epsilon, tolerance;
    int64_t max_rounds;
    bool epsilon_in_evidence, full_spectrum, warm_start;
    double smallest_precision;

    double* workspace;  // (n_blocks, fit_workspace_size(padded))
    int64_t n_blocks;   // thread blocks, each with one target at a time
    double* results;    // (4, n_targets): evidences, alphas, betas, ratios
};

// Doubles of workspace for each thread block.
int64_t fit_workspace_size(int64_t padded);

// The fixed points of all targets.
void fit_targets(const FitArgs& args, void* stream);

}  // namespace tk
