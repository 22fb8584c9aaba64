"""parc_correlation beside the matrices of all pairs and SciPy's spearmanr."""

import numpy as np

import transfer_kernels as tk
from bench import published, work


def test_parc_correlation(contest, variant, arrays, relative_gap, pair_problem):
    X, y = arrays(pair_problem)

    def ours():
        return 100.0 * tk.ops.parc_correlation(X, y, backend=variant.backend)

    def plain():
        return published.parc(X.astype(np.float64), y, exact_ties=True)

    flops = work.parc_correlation(pair_problem.n, pair_problem.d)
    contest(pair_problem, ours, plain, relative_gap, 1e-6, flops)


def test_parc_correlation_vectors(contest, variant, arrays, relative_gap, pair_problem):
    X, y = arrays(pair_problem)
    Y = np.random.default_rng(4).random((pair_problem.n_classes, 6))[y]
    Y += 0.1 * np.random.default_rng(5).random((pair_problem.n, 6))

    def ours():
        return 100.0 * tk.ops.parc_correlation_vectors(X, Y, backend=variant.backend)

    def plain():
        return published.parc(X.astype(np.float64), Y, exact_ties=True)

    contest(pair_problem, ours, plain, relative_gap, 1e-5)
