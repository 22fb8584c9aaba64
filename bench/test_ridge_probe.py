"""ridge_probe beside a plain version: a singular value decomposition, and a fit for each ridge."""

import transfer_kernels as tk
from bench import published, work


def test_ridge_probe(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.ridge_probe(X, y, backend=variant.backend)

    flops = 2 * work.fisher_scatter(problem.n, problem.d)
    contest(problem, ours, lambda: published.ridge_probe(X, y), relative_gap, 1e-3, flops)
