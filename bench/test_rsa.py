"""rsa beside the published way: distances of all pairs of samples, ranked."""

import numpy as np

import transfer_kernels as tk
from bench import published


def reference_of(n):
    return np.random.default_rng(1).normal(size=(n, 64)).astype(np.float32)


def test_rsa(contest, variant, arrays, relative_gap, problem):
    X, _ = arrays(problem)
    R = reference_of(problem.n)

    def ours():
        return tk.rsa(X, reference=R, backend=variant.backend)

    flops = problem.n**2 * (problem.d + R.shape[1])
    contest(problem, ours, lambda: published.rsa(X, R), relative_gap, 1e-6, flops)
