"""transrate beside the published way: by determinants of (d, d) matrices of every class."""

import transfer_kernels as tk
from bench import published, work


def test_transrate(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.transrate(X, y, backend=variant.backend)

    flops = work.transrate(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, lambda: published.transrate(X, y), relative_gap, 1e-6, flops)
