"""logme_evidence beside an eigendecomposition and a loop over the targets."""

import numpy as np
import pytest

import transfer_kernels as tk
from bench import work
from transfer_kernels.kernels.logme_evidence import EvidenceRule, reference


@pytest.mark.parametrize("dual", [False, True], ids=["primal", "dual"])
def test_logme_evidence(contest, variant, arrays, relative_gap, problem, dual):
    X, y = arrays(problem)
    n = problem.d if dual else problem.n
    d = 2 * problem.d if dual else problem.d
    F = X[:n].astype(np.float64)
    F = np.concatenate([F, F**2], axis=1) if dual else F
    Y = np.eye(problem.n_classes)[y[:n]]
    gram, moments = (F @ F.T, Y) if dual else (F.T @ F, F.T @ Y)
    arguments = (gram, moments, Y.sum(axis=0), n, d, EvidenceRule(), dual)

    def ours():
        return tk.ops.logme_evidence(*arguments, backend=variant.backend)

    def error(found, expected):
        return relative_gap(found.evidences, expected.evidences)

    flops = work.logme_evidence(min(n, d), problem.n_classes)
    contest(problem, ours, lambda: reference.logme_evidence(*arguments), error, 1e-9, flops)
