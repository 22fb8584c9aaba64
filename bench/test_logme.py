"""logme beside the published implementations' way, each variant its own."""

import pytest

import transfer_kernels as tk
from bench import published, work

RIVALS = {
    "evidence": "thuml-full-spectrum",
    "thuml": "thuml",
    "thuml-icml": "thuml-icml",
    "tllib": "tllib",
    "transformer-ranker": "transformer-ranker",
}


@pytest.mark.parametrize("rule", RIVALS)
def test_logme(contest, variant, arrays, relative_gap, problem, rule):
    X, y = arrays(problem)

    def ours():
        return tk.logme(X, y, variant=rule, backend=variant.backend)

    def plain():
        return published.logme(X, y, RIVALS[rule]).score

    flops = work.logme(problem.n, problem.d, problem.n_classes)
    contest(problem, ours, plain, relative_gap, 1e-6, flops)
