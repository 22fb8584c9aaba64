"""pactran_mixture beside the published way: PACTran of scikit-learn's mixture, one seed."""

import numpy as np

import transfer_kernels as tk
from bench import published


def test_pactran_mixture(contest, variant, arrays, relative_gap, problem):
    X, y = (array[:1000] for array in arrays(problem))
    X, y = np.float64(X), np.unique(y, return_inverse=True)[1]

    def ours():
        return tk.pactran_mixture(X, y, components=50, seeds=0, backend=variant.backend)

    def plain():
        return published.pactran(published.mixture_posteriors(X, 50), y)

    contest(problem, ours, plain, relative_gap, 1e-6)
