"""nce beside the published way: class after class."""

import transfer_kernels as tk
from bench import data, published


def test_nce(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    theta = data.posteriors(X)

    def ours():
        return tk.nce(theta, y, backend=variant.backend)

    contest(problem, ours, lambda: published.nce(theta, y), relative_gap, 1e-9)
