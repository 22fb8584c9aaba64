"""self_challenging beside the n x C matrices of discriminants and of two softmaxes."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import published, work


@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_self_challenging(contest, variant, arrays, problem, mixed):
    X, y = arrays(problem)
    rng = np.random.default_rng(2)
    coef = rng.normal(size=(problem.n_classes, problem.d)) / np.sqrt(problem.d)
    intercept = rng.normal(size=problem.n_classes)
    mixing = (rng.random(problem.n), 0.1 * rng.normal(size=coef.shape)) if mixed else None

    def ours():
        return tk.ops.self_challenging(X, y, coef, intercept, mixing, backend=variant.backend)

    def plain():
        return published.self_challenging(X, y, coef, intercept, mixing)

    def error(found, expected):
        return np.max(np.abs(np.subtract(found, expected)))

    flops = work.self_challenging(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, plain, error, 1e-9, flops)
