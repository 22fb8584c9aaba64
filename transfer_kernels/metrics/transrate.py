"""TransRate: how much shorter a code for the features gets by knowing the classes.

    L.-K. Huang, J. Huang, Y. Rong, Q. Yang, Y. Wei: "Frustratingly Easy Transferability
    Estimation", ICML 2022.

With Z the centred features, Z_c those of class c, and the coding rate of n vectors at a distortion

    R(Z) = 1/2 ln det(I + Z^T Z / (n eps)),

TransRate = R(Z) - mean over the classes of R(Z_c). The classes are not centred again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import beside, on_host
from ..kernels.positive_definite import shared_from_rows
from .problem import Problem
from .registry import Metric

EPS = 1e-4


def transrate(
    features: Any,
    labels: Any,
    eps: float = EPS,
    weighted: bool = False,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by TransRate: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    eps : float, default 1e-4
        Distortion of the code, in the square of the features' unit: the score follows their scale.
    weighted : bool, default False
        Weigh the classes by their numbers of samples; by default all count alike, as in published
        code.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur or eps is not positive.

    References
    ----------
    Huang et al., "Frustratingly Easy Transferability Estimation", ICML 2022.
    """
    return METRIC(
        features,
        labels,
        ignore_label=ignore_label,
        backend=backend,
        eps=eps,
        weighted=weighted,
    )


@np.errstate(all="ignore")
def compute(problem: Problem, eps: float = EPS, weighted: bool = False) -> float:
    """The score of a problem; see `transrate`."""
    if not 0.0 < eps < np.inf:
        raise ValueError(f"eps={eps!r} is out of range: it must be positive and finite")
    n, counts = problem.n_samples, problem.class_counts
    whole = 0.5 * problem.ops.log_determinant(problem.centred_gram, 1.0 / (n * eps))
    if np.isnan(whole):
        whole = 0.5 * shared_from_rows.log_determinant(problem.centred_rows, 1.0 / (n * eps))
    scales = beside(problem.features, 1.0 / (counts * eps))
    parts = problem.ops.class_logdets(
        problem.features, problem.codes, len(counts), problem.mean, scales
    )
    rates = 0.5 * on_host(parts)
    return float(whole - (counts @ rates / n if weighted else rates.mean()))


METRIC = Metric(
    "transrate",
    compute,
    "coding rate of the features less the mean rate of the classes",
    paper="Huang et al., ICML 2022",
)
