"""dds beside the published way: two matrices of all pairs of samples."""

import transfer_kernels as tk
from bench import published
from bench.test_rsa import reference_of


def test_dds(contest, variant, arrays, relative_gap, problem):
    X, _ = arrays(problem)
    R = reference_of(problem.n)

    def ours():
        return tk.dds(X, reference=R, backend=variant.backend)

    d, r = problem.d, R.shape[1]
    flops = problem.n * (d * (d + 1.0) + r * (r + 1.0) + 2.0 * d * r)
    contest(problem, ours, lambda: published.dds(X, R), relative_gap, 1e-6, flops)
