"""ncti beside the published way: scikit-learn's PCA and discriminant."""

import transfer_kernels as tk
from bench import published, work


def test_ncti(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        parts = tk.ncti(X, y, backend=variant.backend)
        return parts.seli, parts.ncc, parts.vc

    flops = work.along_axes(problem.n, problem.d)
    contest(problem, ours, lambda: published.ncti(X, y), relative_gap, 1e-6, flops)
