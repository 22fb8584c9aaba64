"""OpenGVLab/Multitask-Model-Selector (EMMS), ``metrics``: ``EMMS``, PACTran, ``Transrate``.

What differs: beside what `transfer_kernels.compat.sfda` tells, neither features nor labels are
written to; ``EMMS`` raises ValueError where features fit any labels, as many features as samples,
where the published value is rounding noise; ``Transrate`` counts classes that occur. The mixtures
of ``calculate_pac_dir`` and ``calculate_pac_gamma`` are made in float64 from seed 0, where the
published ones are not seeded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import SEED, number, published_errors
from .pac_gauss import pac_gauss
from .sfda import (
    LEEP,
    NLEEP,
    PARC,
    SFDA,
    LogME,
    LogME_Score,
    PARC_Score,
    SFDA_Score,
    TransferabilityMethod,
    feature_reduce,
)
from .tllib import coding_rate
from .tllib import transrate as _transrate

__all__ = [
    "EMMS",
    "LEEP",
    "NLEEP",
    "PARC",
    "SFDA",
    "LogME",
    "LogME_Score",
    "PARC_Score",
    "SFDA_Score",
    "TransferabilityMethod",
    "Transrate",
    "calculate_pac_dir",
    "calculate_pac_gamma",
    "calculate_pac_gauss",
    "coding_rate",
    "feature_reduce",
]


def EMMS(Z: Any, Y: Any) -> np.float64:
    """Fit of label embeddings Y (N, D2, K) by features Z (N, D1), the K weighed to fit best."""
    from ..metrics.emms import emms

    with published_errors(Z, Y):
        return number(emms(Z, np.zeros(len(Z), dtype=np.int64), Y))


def Transrate(Z: Any, y: Any, eps: float = 1e-4) -> np.float64:
    """TransRate of features Z (N, D) with labels y (N,) or (N, 1)."""
    return _transrate(Z, y.reshape(-1), eps)


def calculate_pac_dir(features_np_all: Any, label_np_all: Any, alpha: float = 1.0) -> np.float64:
    """PACTran's bound with a Dirichlet prior on a mixture's posteriors: lower is better."""
    return _bound(features_np_all, label_np_all, "dirichlet", alpha)


def calculate_pac_gamma(features_np_all: Any, label_np_all: Any, alpha: float = 1.0) -> np.float64:
    """PACTran's bound with a Gamma prior on a mixture's posteriors: lower is better."""
    return _bound(features_np_all, label_np_all, "gamma", alpha)


def _bound(features: Any, labels: Any, prior: str, alpha: float) -> np.float64:
    from ..metrics.pactran_mixture import pactran_mixture

    with published_errors(features):
        return number(-pactran_mixture(features, labels, prior, alpha, seeds=SEED))


def calculate_pac_gauss(features_np_all: Any, label_np_all: Any, lda_factor: float = 1.0) -> Any:
    """PACTran's bounds with a Gaussian prior, at the optimum; see `pac_gauss`."""
    return pac_gauss(features_np_all, label_np_all, lda_factor)
