"""loss beside the published way: a random start, a product each for loss and gradient."""

import transfer_kernels as tk
from bench import published


def test_loss(contest, variant, arrays, relative_gap, problem):
    X, y = arrays(problem)

    def ours():
        return tk.loss(X, y, backend=variant.backend)

    flops = 50 * 4.0 * problem.n * problem.d * problem.n_classes
    contest(problem, ours, lambda: published.softmax_probe(X, y)[0], relative_gap, 1e-2, flops)
