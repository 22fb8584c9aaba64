"""etran_energy beside the published way: SciPy's logsumexp."""

import transfer_kernels as tk
from bench import published


def test_etran_energy(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.etran_energy(X, y, backend=variant.backend)

    contest(problem, ours, lambda: published.etran_energy(X), relative_gap, 1e-9)
