"""pactran beside the published way: an (n, C, Z) product a round, of a thousand samples."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import data, published


@pytest.mark.parametrize("prior", ["dirichlet", "gamma"])
def test_pactran(contest, variant, arrays, relative_gap, problem, prior):
    X, y = (array[:1000] for array in arrays(problem))
    y = np.unique(y, return_inverse=True)[1]
    theta = data.posteriors(X)

    def ours():
        return tk.pactran(theta, y, prior, backend=variant.backend)

    def plain():
        return published.pactran(np.float64(theta), y, prior)

    contest(problem, ours, plain, relative_gap, 1e-6)
