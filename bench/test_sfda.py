"""sfda beside the published way: class covariances, two eigenproblems, mixed features in full."""

import transfer_kernels as tk
from bench import published, work


def test_sfda(contest, variant, arrays, problem):
    X, y = arrays(problem)

    def ours():
        return tk.sfda(X, y, backend=variant.backend)

    def error(found, expected):
        return abs(found - expected)

    # The published code keeps the mixed features in the precision of the features.
    tolerance = 1e-3 if problem.dtype == "float16" else 1e-6
    flops = work.sfda(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, lambda: published.sfda(X, y), error, tolerance, flops)
