// self_challenging: own-class posteriors of a linear discriminant; contract in
// kernels/self_challenging.
#pragma once

#include "common/array_view.h"
#include "common/isa.h"

namespace tk {

struct SelfChallengingArgs {
    MatrixView X;             // (n, d), not empty
    const int64_t* codes;     // (n), each in [0, n_classes)
    const double* coef;       // (n_classes, d)
    const double* intercept;  // (n_classes)
    const double* share;      // (n): share of x in the mixed sample; null: nothing is mixed
    const double* anchors;    // (n_classes, d): what it is mixed with, by class
    int64_t n_classes;
    int n_threads;
    double* posterior;  // (n)
    double* challenge;  // (n)
};

// Throws std::bad_alloc.
TK_DECLARE_KERNEL(self_challenging, SelfChallengingArgs)

}  // namespace tk
