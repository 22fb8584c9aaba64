"""hscore beside the published way: a pseudo-inverse of the covariance, plain and shrunk."""

import pytest

import transfer_kernels as tk
from bench import published, work

WAYS = {None: published.hscore, "ledoit-wolf": published.regularised_hscore}


@pytest.mark.parametrize("shrinkage", WAYS, ids=str)
def test_hscore(contest, variant, arrays, relative_gap, problem, shrinkage):
    X, y = arrays(problem)

    def ours():
        return tk.hscore(X, y, shrinkage, backend=variant.backend)

    flops = work.hscore(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, lambda: WAYS[shrinkage](X, y), relative_gap, 1e-6, flops)
