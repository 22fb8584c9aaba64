"""ETran's energy: how far the features of the least typical samples lie from nothing.

    M. Gholami, M. Akbari, X. Wang, B. Kamranian, Y. Zhang: "ETran: Energy-Based Transferability
    Estimation", ICCV 2023.

The energy of a sample is ln of the sum over its features of exp(x); the score is the mean over the
lowest (or highest) of them. Labels do not enter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.array_namespace import on_host
from .problem import Problem
from .registry import Metric
from .uninformative import warn_uninformative

PERCENT = 0.5
TAILS = ("bottom", "top")


def etran_energy(
    features: Any,
    labels: Any = None,
    percent: float = PERCENT,
    tail: str = "bottom",
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> float:
    """Transferability by ETran's energy: higher is better.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list, optional
        They do not enter; with ``ignore_label`` they tell which samples to leave out.
    percent : float, default 0.5
        Share of the samples that count, in percent, in (0, 100]. As published it is cut to a tenth
        of a percent, and then to whole samples: at the bottom rounded down, at the top up.
    tail : {"bottom", "top"}
        Whether those of lowest or highest energy count.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    float
        Mean energy, in nats.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if the percentage is not in (0, 100].

    Warns
    -----
    UninformativeScoreWarning
        If the percentage is less than one sample; one then counts.

    References
    ----------
    Gholami et al., "ETran: Energy-Based Transferability Estimation", ICCV 2023.
    """
    if labels is None:
        labels = np.zeros(len(features), dtype=np.int8)
    return METRIC(
        features, labels, ignore_label=ignore_label, backend=backend, percent=percent, tail=tail
    )


def compute(problem: Problem, percent: float = PERCENT, tail: str = "bottom") -> float:
    """The score of a problem; see `etran_energy`."""
    if not 0.0 < percent <= 100.0:
        raise ValueError(f"percent={percent!r} is out of range: it must be in (0, 100]")
    _, energies = problem.row_statistics
    thousandths = int(10 * percent) * problem.n_samples
    wanted = thousandths // 1000 if tail == "bottom" else -(-thousandths // 1000)
    if wanted == 0:
        warn_uninformative(
            f"ETran's energy: {percent} percent of {problem.n_samples} samples are less than one, "
            "so that a single one decides; use more samples or a larger percentage"
        )
    ordered = np.sort(on_host(energies))
    wanted = max(wanted, 1)
    return float((ordered[:wanted] if tail == "bottom" else ordered[-wanted:]).mean())


METRIC = Metric(
    "etran_energy",
    compute,
    "mean log-sum of the features of the samples where it is lowest",
    (),
    paper="Gholami et al., ICCV 2023",
    choices={"tail": TAILS},
)
