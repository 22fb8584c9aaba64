"""leep and pactran beside the published way, on posteriors of a made-up source head."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import published

N_SOURCES = 1000


def posteriors(X, width):
    """(n, width) float32 softmax of a random linear head."""
    head = np.random.default_rng(0).normal(size=(X.shape[1], width)) / np.sqrt(X.shape[1])
    logits = 4.0 * np.asarray(X, dtype=np.float64) @ head
    theta = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (theta / theta.sum(axis=1, keepdims=True)).astype(np.float32)


def test_leep(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    theta = posteriors(X, N_SOURCES)

    def ours():
        return tk.leep(theta, y, backend=variant.backend)

    contest(problem, ours, lambda: published.leep(theta, y), relative_gap, 1e-5)


@pytest.mark.parametrize("prior", ["dirichlet", "gamma"])
def test_pactran(contest, variant, arrays, relative_gap, problem, prior):
    X, y = arrays(problem)
    few = slice(0, 1000)  # the published way holds n C Z numbers
    y = np.unique(y[few], return_inverse=True)[1]
    theta = posteriors(X[few], N_SOURCES)

    def ours():
        return tk.pactran(theta, y, prior, backend=variant.backend)

    contest(problem, ours, lambda: published.pactran(theta, y, prior), relative_gap, 1e-5)
