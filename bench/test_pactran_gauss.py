"""pactran_gauss beside the published way: a random start, a product each for loss and gradient."""

import transfer_kernels as tk
from bench import published


def test_pactran_gauss(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.pactran_gauss(X, y, backend=variant.backend)

    flops = 50 * 4.0 * problem.n * problem.d * problem.n_classes
    contest(problem, ours, lambda: published.softmax_probe(X, y)[1], relative_gap, 1e-2, flops)
