"""knn beside the published way: distances of all pairs in float32."""

import transfer_kernels as tk
from bench import published


def test_knn(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.knn(X, y, ties="smallest", backend=variant.backend)

    flops = problem.n**2 * problem.d
    contest(problem, ours, lambda: published.knn(X, y), relative_gap, 2e-3, flops)
