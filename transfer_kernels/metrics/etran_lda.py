"""ETran's classification score: mean probability of the true class under a linear discriminant.

    M. Gholami, M. Akbari, X. Wang, B. Kamranian, Y. Zhang: "ETran: Energy-Based Transferability
    Estimation", ICCV 2023.

The paper describes linear discriminant analysis. The published code hands a matrix that is not
symmetric to a symmetric eigensolver, and so uses all axes of an orthonormal basis: its discriminant
is that of the nearest class mean, x.mu_c - |mu_c|^2 / 2 + ln pi_c, which published tables hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace
from . import sfda as _sfda
from .problem import Problem
from .registry import Metric

VARIANTS = ("code", "paper")


def etran_lda(
    features: Any,
    labels: Any,
    variant: str = "code",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by ETran's discriminant: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    variant : {"code", "paper"}
        "code" is the softmax over the distances to the class means, as in the published code and
        tables; "paper" linear discriminant analysis with a shrunk within-class scatter: the first
        stage of `transfer_kernels.sfda`.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Mean probability of the true class, in (0, 1]. It follows the scale of the features.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur; for "paper" if no class varies within
        itself.

    References
    ----------
    Gholami et al., "ETran: Energy-Based Transferability Estimation", ICCV 2023.
    """
    return METRIC(features, labels, ignore_label=ignore_label, backend=backend, variant=variant)


@np.errstate(all="ignore")  # exp underflows as it should, whatever the caller traps
def compute(problem: Problem, variant: str = "code") -> float:
    """The score of a problem; see `etran_lda`."""
    if variant == "paper":
        stage = _sfda.first_stage(problem)
        return float(stage.posterior.mean())
    counts, means = problem.centred.counts, problem.centred.shifted_means
    log_priors = array_namespace(counts).log(counts / problem.n_samples)
    intercept = log_priors - 0.5 * (means**2).sum(axis=1) - means @ problem.mean
    posterior, _ = problem.ops.self_challenging(problem.features, problem.codes, means, intercept)
    return float(posterior.mean())


METRIC = Metric(
    "etran_lda",
    compute,
    "mean probability of the true class by the nearest class mean, as ETran's code has it",
    paper="Gholami et al., ICCV 2023",
    choices={"variant": VARIANTS},
)
