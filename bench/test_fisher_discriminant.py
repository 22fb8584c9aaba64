"""fisher_discriminant beside the generalised eigenproblem that the published code solves."""

import numpy as np

import transfer_kernels as tk
from bench import published


def test_fisher_discriminant(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    C, d, shrinkage = problem.n_classes, problem.d, 0.05
    scatter = tk.ops.fisher_scatter(X, y, C)
    within, total = scatter.within(), scatter.total()
    means = scatter.means - X.mean(axis=0, dtype=np.float64)
    shrunk = (1.0 - shrinkage) * within + shrinkage * np.trace(within) / d * np.eye(d)

    def ours():
        return tk.ops.fisher_discriminant(within, means, shrinkage, d, backend=variant.backend)[0]

    def plain():
        return published.fisher_coefficients(total - within, shrunk, means)

    contest(problem, ours, plain, relative_gap, 1e-9)
