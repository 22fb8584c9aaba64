"""otce beside the published way: masses of the plan class by class, with POT as well."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import published


def test_otce(contest, variant, arrays, relative_gap, problem):
    pytest.importorskip("ot")
    X, y = (array[:1500] for array in arrays(problem))
    X, y = np.float64(X), np.unique(y, return_inverse=True)[1]
    source = X[::3] + 0.5, y[::3] % 5

    def ours():
        return tk.otce(X, y, source, backend=variant.backend)

    contest(problem, ours, lambda: published.otce(X, y, source), relative_gap, 1e-6)
