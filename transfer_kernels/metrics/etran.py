"""ETran: the energy and the discriminant of each model, weighed against those of a zoo.

    M. Gholami, M. Akbari, X. Wang, B. Kamranian, Y. Zhang: "ETran: Energy-Based Transferability
    Estimation", ICCV 2023.

Models are compared: both parts are scaled to 0 ... 1 over the zoo, and
ETran = 0.85 LDA + 0.15 energy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import etran_energy, etran_lda
from .problem import Problem
from .registry import Metric, RelativeToZoo
from .zoo_scale import min_max

PARTS = ("lda", "energy")
LDA_SHARE = 0.85


@dataclass(frozen=True)
class ETran:
    """What ETran says of one model; models are compared part by part.

    Parameters
    ----------
    lda : float
        Mean probability of the true class by the discriminant: higher is better.
    energy : float
        Mean energy of the samples where it is lowest, in nats: higher is better.
    """

    lda: float
    energy: float


def etran(
    features: Any,
    labels: Any,
    percent: float = etran_energy.PERCENT,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> ETran:
    """The two parts of ETran for one model, of which a zoo's scores are made.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples, float16, bfloat16, float32, float64 or integers.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    percent : float, default 0.5
        Share of the samples whose energy counts, see `transfer_kernels.etran_energy`.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend; `transfer_kernels.show_backends` lists them.

    Returns
    -------
    ETran
        Its ``lda`` and ``energy``, the defaults of `transfer_kernels.etran_lda` and
        `transfer_kernels.etran_energy`. The score itself compares models: `transfer_kernels.rank`
        makes it.

    Raises
    ------
    TypeError, ValueError
        See `Problem`; also if fewer than two classes occur, or the percentage is not in (0, 100].

    Warns
    -----
    UninformativeScoreWarning
        If the percentage is less than one sample; one then counts.

    References
    ----------
    Gholami et al., "ETran: Energy-Based Transferability Estimation", ICCV 2023.
    """
    return ETran(
        **METRIC.parts_of(
            features, labels, ignore_label=ignore_label, backend=backend, percent=percent
        )
    )


def combine(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores (M,) of M models from their parts, in [0, 1]."""
    lda, energy = (min_max(parts[part], f"etran.{part}") for part in PARTS)
    return LDA_SHARE * lda + (1.0 - LDA_SHARE) * energy


def compute(problem: Problem, percent: float = etran_energy.PERCENT) -> dict[str, float]:
    """The parts of a problem; see `etran`."""
    return {
        "lda": etran_lda.compute(problem),
        "energy": etran_energy.compute(problem, percent),
    }


METRIC = Metric(
    "etran",
    compute,
    "0.85 of ETran's discriminant and 0.15 of its energy, each over the zoo's range",
    paper="Gholami et al., ICCV 2023",
    scope=RelativeToZoo(PARTS, combine),
)
