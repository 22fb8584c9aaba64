"""leep beside the published way: a matrix of samples and target classes."""

import numpy as np

import transfer_kernels as tk
from bench import data, published


def test_leep(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    theta = data.posteriors(X)

    def ours():
        return tk.leep(theta, y, backend=variant.backend)

    def plain():
        return published.leep(np.float64(theta), y)

    contest(problem, ours, plain, relative_gap, 1e-6)
