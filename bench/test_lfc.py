"""lfc beside the published way: by two (n, n) matrices."""

import transfer_kernels as tk
from bench import published, work


def test_lfc(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.lfc(X, y, backend=variant.backend)

    flops = work.fisher_scatter(problem.n, problem.d)
    contest(problem, ours, lambda: published.lfc(X, y), relative_gap, 1e-6, flops)
