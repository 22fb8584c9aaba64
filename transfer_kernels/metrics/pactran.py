"""PACTran: PAC-Bayesian bounds on the error of a head that votes with source posteriors.

    N. Ding, X. Chen, T. Levinboim, S. Changpinyo, R. Soricut: "PACTran: PAC-Bayesian Metrics for
    Estimating the Transferability of Pretrained Models to Classification Tasks", ECCV 2022.

With theta (n, Z), s = theta + 1e-10, a0[y] = alpha n_y / n + 1e-10, and J the class sums (C, Z) of
q, which is theta at first, ten rounds of

    a = a0 + J      T = digamma(a) - digamma(sum over y of a)   with the Dirichlet prior
                    T = digamma(a)                              with the Gamma prior
    q_i(z) in proportion to s_i(z) exp T[y_i, z]

lead to the bounds, with ln B(a) = sum of ln Gamma(a) - ln Gamma(sum of a) over a column,

    D = sum over i, z of q ln (q / s)
    Dirichlet   (D + sum over z of (ln B(a0) - ln B(a[:, z]))) / n C
    Gamma       (D + sum over y, z of (ln Gamma(a0) - ln Gamma(a))
                   + sum over i of (ln sum over y, z of theta_i(z) a[y, z] - 1)) / n C + 1

which are published as costs; the score is minus the bound. As T depends on the class alone, a round
takes C rows of exponentials and no logarithm or exponential of a sample's own entries, and
D = sum of J T - sum over i of the logarithm of what q_i was divided by.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs.model_outputs import ModelOutputs
from ..kernels.array_namespace import beside, on_host
from .posteriors import LabelledPosteriors
from .problem import Problem
from .registry import Metric

PRIORS = ("dirichlet", "gamma")
ROUNDS = 10

#: Added to every posterior and to the prior's parameters, as published.
FLOOR = 1e-10


def pactran(
    posteriors: Any,
    labels: Any,
    prior: str = "dirichlet",
    alpha: float = 1.0,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by PACTran's bound with a Dirichlet or Gamma prior: higher is better.

    Parameters
    ----------
    posteriors : (n, Z) array, tensor or SciPy matrix in CSR form
        Probability of each class of the source task, by the model's own head: rows sum to 1.
        float16, bfloat16, float32 or float64.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    prior : {"dirichlet", "gamma"}
        Of the head's weights.
    alpha : float, default 1
        Weight of the prior, in samples; positive.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Minus the published bound, in nats per sample and class.

    Raises
    ------
    TypeError, ValueError
        If the posteriors are no probabilities, the shapes do not fit, fewer than two classes occur,
        a label is missing, alpha is not positive, or the prior or the backend is not there.

    References
    ----------
    Ding et al., "PACTran: PAC-Bayesian Metrics for Estimating the Transferability of Pretrained
    Models to Classification Tasks", ECCV 2022.
    """
    return METRIC(
        ModelOutputs(posteriors=posteriors),
        labels,
        ignore_label=ignore_label,
        backend=backend,
        prior=prior,
        alpha=alpha,
    )


def compute(problem: Problem, prior: str = "dirichlet", alpha: float = 1.0) -> float:
    """The score of a problem; see `pactran`."""
    require_weight(alpha)
    return of_posteriors(problem.posteriors, prior, alpha)


def require_weight(alpha: float) -> None:
    """Raise ValueError unless it is the weight of a prior."""
    if not 0.0 < alpha < np.inf:
        raise ValueError(f"alpha={alpha!r} is out of range: it must be positive and finite")


def of_posteriors(given: LabelledPosteriors, prior: str = "dirichlet", alpha: float = 1.0) -> float:
    """The score of posteriors with classes; see `pactran`."""
    from scipy.special import digamma, gammaln  # not with the package: it takes a tenth of a second

    n, n_classes = given.n_samples, given.n_classes
    base = (alpha * given.class_counts / n + FLOOR)[:, None]
    sums = on_host(given.sums)
    for _ in range(ROUNDS):
        weights = base + sums
        tilt = digamma(weights)
        if prior == "dirichlet":
            tilt = tilt - digamma(weights.sum(axis=0))
        # Relative to the largest of the class: a class of few samples has none above exp(-745).
        highest = tilt.max(axis=1, keepdims=True)
        with np.errstate(under="ignore"):
            table = beside(given.theta, np.exp(tilt - highest))
        found, log_norm = given.ops.tilted_sums(given.theta, given.codes, table, FLOOR)
        sums = on_host(found)
    log_norms = log_norm + float(given.class_counts @ highest[:, 0])
    divergence = float((sums * tilt).sum()) - log_norms
    if prior == "dirichlet":
        columns = gammaln(weights).sum(axis=0) - gammaln(weights.sum(axis=0))
        start = gammaln(base.sum()) - gammaln(base).sum()
        return (start * sums.shape[1] + float(columns.sum()) - divergence) / (n * n_classes)
    rates = beside(given.theta, np.broadcast_to(weights.sum(axis=0), weights.shape).copy())
    expected = on_host(given.ops.own_class(given.theta, given.codes, rates))
    bound = float((gammaln(base) - gammaln(weights)).sum()) + divergence
    bound += float((np.log(expected) - 1.0).sum())
    return -(bound / (n * n_classes) + 1.0)


METRIC = Metric(
    "pactran",
    compute,
    "minus a PAC-Bayesian bound on the error of a vote of the source classes",
    paper="Ding et al., ECCV 2022",
    choices={"prior": PRIORS},
    needs=frozenset({"posteriors"}),
)
