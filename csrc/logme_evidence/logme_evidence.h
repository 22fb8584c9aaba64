// Arguments of `logme_evidence`; see kernels/logme_evidence/__init__.py.
#pragma once

#include <cstdint>

#include "common/isa.h"

namespace tk {

struct EvidenceArgs {
    const double* gram;     // (size, size), upper triangle of rows
    const double* moments;  // (size, n_targets)
    const double* squares;  // (n_targets,)
    int64_t size, n_targets, n_samples, n_features;
    bool dual;
    bool largest;       // the largest evidence, instead of the fixed point that the rest describes
    double gram_error;  // largest worst case of the Gram matrix's rounding error in that
    // Further eigenvalues, with squares of the targets' parts, and what else is in y.y: in the dual
    // form of the largest evidence.
    const double* known;        // (n_known,)
    const double* known_parts;  // (n_known, n_targets)
    const double* rest;         // (n_targets,) or null
    int64_t n_known;

    double epsilon, tolerance;
    int64_t max_rounds;
    bool epsilon_in_evidence, full_spectrum, warm_start;
    double smallest_precision;

    double *evidences, *alphas, *betas, *ratios;  // (n_targets,) each
    int n_threads;
};

TK_DECLARE_KERNEL(logme_evidence, EvidenceArgs)

}  // namespace tk
