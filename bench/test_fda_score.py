"""fda_score beside the published way: principal components, class covariances, eigenproblem."""

import transfer_kernels as tk
from bench import published, work


def test_fda_score(contest, variant, arrays, problem):
    X, y = arrays(problem)

    def ours():
        return tk.fda_score(X, y, backend=variant.backend)

    def error(found, expected):
        return abs(found - expected)

    flops = work.fda_score(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, lambda: published.fda_score(X, y), error, 1e-6, flops)
