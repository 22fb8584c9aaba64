"""NCE, negative conditional entropy of the target's labels given a source head's predictions.

    A. T. Tran, C. V. Nguyen, T. Hassner: "Transferability and Hardness of Supervised
    Classification Tasks", ICCV 2019.

With z_i the most probable source class of sample i and p(y, z) the share of samples with class y
and prediction z,

    NCE = sum over y, z of p(y, z) ln (p(y, z) / p(z)) = -H(Y | Z).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs.model_outputs import ModelOutputs
from .problem import Problem
from .registry import Metric

VARIANTS = ("tllib", "parc")

#: What PARC's code adds to every cell of the joint and the marginal distribution.
GUARD = 1e-5


def nce(
    posteriors: Any,
    labels: Any,
    variant: str = "tllib",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by negative conditional entropy: higher is better.

    Parameters
    ----------
    posteriors : (n, Z) array, tensor or SciPy matrix in CSR form
        Probability of each class of the source task, by the model's own head: rows sum to 1.
        float16, bfloat16, float32 or float64. Only the most probable class of a row counts, the
        first where several are.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    variant : {"tllib", "parc"}
        "tllib" is the paper's; "parc" adds 1e-5 to every cell, another value.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        In nats, at most 0.

    Raises
    ------
    TypeError, ValueError
        If the posteriors are no probabilities, the shapes do not fit, fewer than two classes occur,
        a label is missing, or the variant or the backend is not there.

    References
    ----------
    Tran et al., "Transferability and Hardness of Supervised Classification Tasks", ICCV 2019.
    """
    outputs = ModelOutputs(posteriors=posteriors)
    return METRIC(outputs, labels, ignore_label=ignore_label, backend=backend, variant=variant)


def compute(problem: Problem, variant: str = "tllib") -> float:
    """The score of a problem; see `nce`."""
    given = problem.posteriors
    width = given.theta.shape[1]
    cells = given.host_codes * width + given.source_codes
    counts = np.bincount(cells, minlength=given.n_classes * width)
    joint = counts.reshape(given.n_classes, width) / given.n_samples
    marginal = joint.sum(axis=0)
    if variant == "parc":
        joint, marginal = joint + GUARD, marginal + GUARD
    return conditional_entropy(joint, marginal)


def conditional_entropy(joint: np.ndarray, marginal: np.ndarray) -> float:
    """Sum of p(y, z) ln (p(y, z) / p(z)) over cells with mass: minus the entropy of y given z."""
    present = joint > 0.0
    shares = joint[present] / np.broadcast_to(marginal, joint.shape)[present]
    return float((joint[present] * np.log(shares)).sum())


METRIC = Metric(
    "nce",
    compute,
    "minus the entropy of the label where the most probable source class is known",
    paper="Tran et al., ICCV 2019",
    choices={"variant": VARIANTS},
    needs=frozenset({"posteriors"}),
)
