"""nleep beside the published way: scikit-learn's PCA and mixture, one seed."""

import numpy as np

import transfer_kernels as tk
from bench import published


def test_nleep(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)
    X, y = np.asarray(X, dtype=np.float64)[:5000, :1024], y[:5000]
    y = np.unique(y, return_inverse=True)[1]
    n_components = min(5 * (int(y.max()) + 1), len(X) // 4)

    def ours():
        return tk.nleep(X, y, components=n_components, seeds=0, backend=variant.backend)

    def plain():
        return published.nleep(X, y, n_components)

    contest(problem, ours, plain, relative_gap, 1e-6)
