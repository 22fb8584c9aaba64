"""parc beside the published way, projected on 32 components and not."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import published, work


@pytest.mark.parametrize("n_components", [None, 32], ids=["all", "f32"])
def test_parc(contest, variant, arrays, relative_gap, pair_problem, n_components):
    X, y = arrays(pair_problem)

    def ours():
        return tk.parc(X, y, n_components, backend=variant.backend)

    def plain():
        return published.parc(X.astype(np.float64), y, n_components, exact_ties=True)

    flops = work.parc(pair_problem.n, pair_problem.d, n_components)
    contest(pair_problem, ours, plain, relative_gap, 1e-6, flops)
