"""zhangyikaii/Model-Spider, ``mptms``: its metrics, which its extractor calls by keyword.

What differs: classes are those that occur; ``H_Score`` is taken in float64, where the published
one stays in float32; ``LFC`` takes all samples, not a random 45 000; ``NLEEP`` is made in float64
from seed 0, where the published mixture is not seeded. ``GBC`` takes the exact principal axes, all
where there are fewer than 64, and a class of one sample raises ValueError, not AssertionError.
``PACTranDirichlet``, ``PACTranGamma`` and ``OTCE`` are costs as published: lower is better.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics.hscore import hscore
from ..metrics.lfc import lfc
from .calls import SEED, number, published_errors
from .thuml_logme import NCE, LogME

__all__ = [
    "GBC",
    "LEEP",
    "LFC",
    "NCE",
    "NLEEP",
    "OTCE",
    "H_Score",
    "LogME",
    "PACTranDirichlet",
    "PACTranGamma",
]


def H_Score(features: Any, labels: Any) -> np.float64:
    """H-score of features (N, D) with labels (N,)."""
    with published_errors(features):
        return number(hscore(features, labels))


def LEEP(prob_np_all: Any, label_np_all: Any) -> np.float64:
    """LEEP of source probabilities (N, C_s) with labels (N,), 1e-10 added in three places."""
    from ..metrics.leep import leep

    return number(leep(prob_np_all, label_np_all, "modelspider"))


def NLEEP(features_np_all: Any, label_np_all: Any) -> np.float64:
    """LEEP of a mixture of max(min(C, N / 5), N / 10) Gaussians."""
    from ..metrics.nleep import nleep

    with published_errors(features_np_all):
        return number(nleep(features_np_all, label_np_all, "pactran", seeds=SEED))


def GBC(features: Any, labels: Any) -> float:
    """Overlap of the classes, full covariances and 1e-5 added in three places."""
    from ..metrics.gbc import gbc

    with published_errors(features):
        return float(gbc(features, labels, variant="modelspider"))


def LFC(target_x: Any, target_y: Any) -> float:
    """Label-feature correlation of features (N, D) with labels (N,)."""
    return lfc(target_x, target_y)


def PACTranDirichlet(prob_np_all: Any, label_np_all: Any, alpha: float) -> np.float64:
    """PACTran's bound with a Dirichlet prior: lower is better."""
    return _bound(prob_np_all, label_np_all, "dirichlet", alpha)


def PACTranGamma(prob_np_all: Any, label_np_all: Any, alpha: float) -> np.float64:
    """PACTran's bound with a Gamma prior: lower is better."""
    return _bound(prob_np_all, label_np_all, "gamma", alpha)


def _bound(probabilities: Any, labels: Any, prior: str, alpha: float) -> np.float64:
    from ..metrics.pactran import pactran

    return number(-pactran(probabilities, labels, prior, alpha))


def OTCE(src_x: Any, tar_x: Any, src_y: Any, tar_y: Any) -> float:
    """Wasserstein distance plus conditional entropy of the optimal coupling: lower is better."""
    from ..metrics.otce import otce

    return -float(otce(tar_x, tar_y, source=(src_x, src_y), variant="sum"))
