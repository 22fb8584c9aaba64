"""The passes over the features beside NumPy's: finiteness check, cross moments, projection."""

import numpy as np

import transfer_kernels as tk
from bench import published, work


def test_first_nonfinite(contest, variant, arrays, problem):
    X, _ = arrays(problem)

    def ours():
        return tk.ops.first_nonfinite(X, backend=variant.backend)

    def plain():
        return None if np.isfinite(X).all() else "not finite"

    contest(problem, ours, plain, lambda found, expected: found is not expected, 0.0)


def test_target_moments(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    Y = np.random.default_rng(6).normal(size=(problem.n, 3))

    def ours():
        return tk.ops.target_moments(X, Y, backend=variant.backend)

    contest(problem, ours, lambda: X.astype(np.float64).T @ Y, relative_gap, 1e-9)


def test_randomized_pca(contest, variant, arrays, relative_gap, problem):
    X, _ = arrays(problem)

    def ours():
        return tk.ops.randomized_pca(X, 32, backend=variant.backend)

    def plain():
        return published.principal_components(X.astype(np.float64), 32)

    flops = work.randomized_pca(problem.n, problem.d, 32)
    contest(problem, ours, plain, relative_gap, 1e-6, flops)
