"""The parts of etran beside the published way."""

import transfer_kernels as tk
from bench import published, work


def test_etran(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        parts = tk.etran(X, y, backend=variant.backend)
        return parts.lda, parts.energy

    def plain():
        return published.etran_lda(X, y), published.etran_energy(X)

    flops = work.self_challenging(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, plain, relative_gap, 1e-6, flops)
