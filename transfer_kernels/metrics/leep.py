"""LEEP, the log expected empirical prediction, of a source head's posteriors.

    C. V. Nguyen, T. Hassner, M. Seeger, C. Archambeau: "LEEP: A New Measure to Evaluate
    Transferability of Learned Representations", ICML 2020.

With theta_i(z) the posterior of source class z for sample i, and p(y, z) = (1 / n) sum over the
samples of class y of theta_i(z), p(y | z) = p(y, z) / p(z),

    LEEP = (1 / n) sum over i of ln sum over z of p(y_i | z) theta_i(z).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs.model_outputs import ModelOutputs
from ..kernels.array_namespace import array_namespace
from .posteriors import LabelledPosteriors
from .problem import Problem
from .registry import Metric

VARIANTS = ("tllib", "modelspider", "sfda")

#: What Model Spider's code adds, so that nothing is divided by zero.
GUARD = 1e-10


def leep(
    posteriors: Any,
    labels: Any,
    variant: str = "tllib",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by LEEP: higher is better.

    Parameters
    ----------
    posteriors : (n, Z) array, tensor or SciPy matrix in CSR form
        Probability of each class of the source task, by the model's own head: rows sum to 1.
        float16, bfloat16, float32 or float64.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    variant : {"tllib", "modelspider", "sfda"}
        "tllib" is the paper's, and that of most code; "modelspider" adds 1e-10 in three places;
        "sfda" leaves the logarithm out, as SFDA's, ETran's and PED's code does.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In nats, at most 0 but for rounding; for "sfda" in (0, 1]. A source class without any mass
        contributes nothing.

    Raises
    ------
    TypeError, ValueError
        If the posteriors are no probabilities, the shapes do not fit, fewer than two classes occur,
        a label is missing, or the variant or the backend is not there.

    References
    ----------
    Nguyen et al., "LEEP: A New Measure to Evaluate Transferability of Learned Representations",
    ICML 2020.
    """
    outputs = ModelOutputs(posteriors=posteriors)
    return METRIC(outputs, labels, ignore_label=ignore_label, backend=backend, variant=variant)


def compute(problem: Problem, variant: str = "tllib") -> float:
    """The score of a problem; see `leep`."""
    return of_posteriors(problem.posteriors, variant)


@np.errstate(all="ignore")
def of_posteriors(given: LabelledPosteriors, variant: str = "tllib") -> float:
    """The score of posteriors with classes; see `leep`."""
    joint = given.sums / given.n_samples
    xp = array_namespace(joint)
    marginal = joint.sum(axis=0)
    guard = GUARD if variant == "modelspider" else 0.0
    table = joint / xp.where(marginal + guard > 0.0, marginal + guard, 1.0)
    expected = given.ops.own_class(given.theta, given.codes, table)
    if variant == "sfda":
        return float(expected.mean())
    return float(xp.log(expected + guard).mean()) + float(np.log1p(guard))


METRIC = Metric(
    "leep",
    compute,
    "log-probability of the true class as the source classes predict it",
    paper="Nguyen et al., ICML 2020",
    choices={"variant": VARIANTS},
    needs=frozenset({"posteriors"}),
)
