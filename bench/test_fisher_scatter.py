"""fisher_scatter beside one NumPy product for the Gram matrix and one sum a class."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import published, work


@pytest.mark.parametrize("weighted", [False, True], ids=["unit", "weighted"])
def test_fisher_scatter(contest, variant, arrays, relative_gap, problem, weighted):
    X, y = arrays(problem)
    weights = np.random.default_rng(1).random(problem.n) if weighted else None

    def ours():
        return tk.ops.fisher_scatter(X, y, problem.n_classes, weights, backend=variant.backend)

    def plain():
        sums = published.class_sums(X, y, problem.n_classes, weights)
        return sums, published.gram(X, weights)

    def error(scatter, expected):
        sums, gram = expected
        return max(relative_gap(scatter.sums, sums), relative_gap(scatter.gram, gram))

    contest(problem, ours, plain, error, 1e-9, work.fisher_scatter(problem.n, problem.d))
