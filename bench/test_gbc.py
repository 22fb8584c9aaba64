"""gbc beside the published way: pair after pair, on scikit-learn's PCA."""

import pytest

import transfer_kernels as tk
from bench import published, work

WAYS = {"formula": published.gbc, "modelspider": published.gbc_full}


@pytest.mark.parametrize("form", WAYS)
def test_gbc(contest, variant, arrays, relative_gap, problem, form):
    X, y = arrays(problem)

    def ours():
        return tk.gbc(X, y, variant=form, backend=variant.backend)

    flops = work.along_axes(problem.n, problem.d)
    contest(problem, ours, lambda: WAYS[form](X, y), relative_gap, 1e-6, flops)
