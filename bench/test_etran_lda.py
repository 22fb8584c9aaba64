"""etran_lda beside the published way: by covariances and a full basis."""

import transfer_kernels as tk
from bench import published, work


def test_etran_lda(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.etran_lda(X, y, backend=variant.backend)

    flops = work.self_challenging(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, lambda: published.etran_lda(X, y), relative_gap, 1e-6, flops)
