"""emms beside the published way: least squares of the samples by singular values."""

import numpy as np

import transfer_kernels as tk
from bench import published, work

WIDTH, MODELS = 512, 3


def test_emms(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    embeddings = np.random.default_rng(0).normal(size=(int(y.max()) + 1, WIDTH, MODELS))

    def ours():
        return tk.emms(X, y, embeddings, backend=variant.backend)

    flops = work.emms(problem.n, problem.d, problem.n_classes, WIDTH)
    contest(problem, ours, lambda: published.emms(X, embeddings[y]), relative_gap, 1e-6, flops)
