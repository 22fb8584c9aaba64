"""thuml/LogME: `LogME`, ``LEEP`` and ``NCE`` with the signatures of its files of these names.

What differs: LogME takes labels of any kind, and counts absent classes below the largest integer
label as published; its ``ms`` is made when asked for. ``LEEP`` takes probabilities only: rows must
sum to 1. A source class without mass contributes nothing to it, where the published value is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import number
from .evidence_model import LogME

__all__ = ["LEEP", "NCE", "LogME"]


def LEEP(pseudo_source_label: Any, target_label: Any) -> np.float64:
    """LEEP of source probabilities (N, C_s) with labels (N,) or (N, 1), in nats."""
    from ..metrics.leep import leep

    return number(leep(pseudo_source_label, flat(target_label)))


def NCE(source_label: Any, target_label: Any) -> np.float64:
    """Negative conditional entropy of labels (N,) given the source's predictions (N,)."""
    from ..metrics.nce import conditional_entropy

    codes = [
        np.unique(flat(given), return_inverse=True)[1] for given in (target_label, source_label)
    ]
    if len(codes[0]) != len(codes[1]):
        raise ValueError(
            f"source_label and target_label must have the same length: {len(codes[1])} source "
            f"labels, but {len(codes[0])} target labels"
        )
    joint = np.zeros((int(codes[0].max()) + 1, int(codes[1].max()) + 1))
    np.add.at(joint, tuple(codes), 1.0 / len(codes[0]))
    return number(conditional_entropy(joint, joint.sum(axis=0)))


def flat(labels: Any) -> Any:
    """Labels (N, 1) as (N,)."""
    is_column = getattr(labels, "ndim", 1) == 2 and labels.shape[1] == 1
    return labels.reshape(-1) if is_column else labels
