"""OTCE: how well labels carry over along an optimal transport from source samples to the target's.

    Y. Tan, Y. Li, S.-L. Huang: "OTCE: A Transferability Metric for Cross-Domain Cross-Task
    Representations", CVPR 2021.

With P the optimal transport plan between m source samples and n target samples, of uniform weights
and squared Euclidean costs, W its cost, and p(y_s, y_t) the mass of P between the classes,

    CE = - sum of p(y_s, y_t) ln (p(y_s, y_t) / p(y_s))

is the entropy of the target's label where the source's is known. W is unique; where several plans
are optimal, CE is that of the vertex at which the network simplex of POT ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inputs import arrays
from ..inputs.model_outputs import ModelOutputs
from ..kernels.array_namespace import as_float64, beside, on_host
from ..optional_packages import obstacle
from ..text.quoting import shown
from .nce import conditional_entropy
from .problem import Problem
from .registry import Metric

VARIANTS = ("jc-nce", "sum")

#: Of the network simplex; POT tells where they are not enough.
ITERATIONS = 100_000_000


def otce(
    features: Any,
    labels: Any,
    source: Any = None,
    variant: str = "jc-nce",
    weights: Any = None,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by OTCE: higher is better. Needs POT, ``pip install transfer-kernels[ot]``.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    source : pair of (m, d) array or tensor and (m,) array or list
        Features that the same model gives samples of its source data set, and their labels; needed.
    variant : {"jc-nce", "sum"}
        "jc-nce" is -CE, which needs no fit and adds no nats to squared distances; "sum" is
        -(W + CE), Model Spider's score with its sign turned.
    weights : tuple of three numbers, optional
        (w, c, b): the score is w W + c CE + b, as in the paper, where they are fitted to other
        tasks. The variant does not matter then.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        For "jc-nce" in nats, at most 0. The cost of all pairs takes 8 m n bytes, the plan as many.

    Raises
    ------
    ImportError
        If POT is not there.
    TypeError, ValueError
        See `Problem`; also if the source is no pair, its features have another width, fewer than
        two classes occur on one side, or the weights are no three numbers.

    References
    ----------
    Tan et al., "OTCE: A Transferability Metric for Cross-Domain Cross-Task Representations",
    CVPR 2021; "Transferability-Guided Cross-Domain Cross-Task Transfer Learning" (F-OTCE, JC-NCE).
    """
    return METRIC(
        ModelOutputs(features, source=source),
        labels,
        ignore_label=ignore_label,
        backend=backend,
        variant=variant,
        weights=weights,
    )


def compute(problem: Problem, variant: str = "jc-nce", weights: tuple | None = None) -> float:
    """The score of a problem; see `otce`."""
    given = None if weights is None else _as_weights(weights)
    cost, entropy = transport(problem)
    if given is not None:
        return float(given[0] * cost + given[1] * entropy + given[2])
    return -entropy if variant == "jc-nce" else -(cost + entropy)


def _as_weights(weights: Any) -> np.ndarray:
    try:
        given = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.shape != (3,) or not np.isfinite(given).all():
        raise ValueError(f"weights must be three finite numbers (w, c, b), not {shown(weights)}")
    return given


def transport(problem: Problem) -> tuple[float, float]:
    """Cost of the optimal plan, and entropy of the target's label where the source's is known."""
    reason = obstacle("ot", "emd")
    if reason is not None:
        raise ImportError(f"otce needs POT, but {reason}; pip install 'transfer-kernels[ot]'")
    import ot

    source, source_labels = problem.inputs.source
    if source.shape[1] != problem.n_features:
        raise ValueError(
            f"source features must be as wide as features, {problem.n_features} columns, but have "
            f"{source.shape[1]}; take both from the same layer of the model"
        )
    _, source_codes = arrays.encode_classes(source_labels, "source labels")
    costs = _squared_distances(source, problem)
    plan, log = ot.emd(
        ot.unif(len(source)), ot.unif(problem.n_samples), costs, numItermax=ITERATIONS, log=True
    )
    if log["warning"] is not None:
        raise ValueError(
            f"the optimal transport between {len(source)} source samples and {problem.n_samples} "
            f"of the target was not found: {log['warning']}; use fewer samples"
        )
    rows, columns = np.nonzero(plan)
    masses, n_sources = plan[rows, columns], int(source_codes.max()) + 1
    cells = problem.host_codes[columns] * n_sources + source_codes[rows]
    joint = np.bincount(cells, masses, minlength=len(problem.classes) * n_sources)
    joint = joint.reshape(-1, n_sources)
    return float(masses @ costs[rows, columns]), -conditional_entropy(joint, joint.sum(axis=0))


def _squared_distances(source: Any, problem: Problem) -> np.ndarray:
    """(m, n) squared Euclidean distances, of features less the target's mean, on the host."""
    target = as_float64(problem.features) - problem.mean
    moved = beside(target, as_float64(source)) - problem.mean
    costs = (-2.0 * moved) @ target.T
    costs += (moved * moved).sum(axis=1)[:, None]
    costs += (target * target).sum(axis=1)
    return np.maximum(on_host(costs), 0.0)


METRIC = Metric(
    "otce",
    compute,
    "minus the entropy of the label along an optimal transport from source samples",
    paper="Tan et al., CVPR 2021",
    choices={"variant": VARIANTS},
    needs=frozenset({"features", "source"}),
)
