"""ped on LogME beside the published way: arrays of all pairs of classes, then the metric."""

import numpy as np

import transfer_kernels as tk
from bench import published, work


def test_ped(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    general = np.random.default_rng(1).normal(size=(500, problem.d)).astype(np.float32)

    def ours():
        return tk.ped(X, y, general=general, base="logme-thuml", backend=variant.backend)

    flops = work.logme(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, lambda: published.ped(X, y, general), relative_gap, 1e-6, flops)
