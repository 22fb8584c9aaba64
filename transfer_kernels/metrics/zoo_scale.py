"""Parts of zoo-relative metrics brought to one scale."""

from __future__ import annotations

import numpy as np

from .uninformative import warn_uninformative


def unit_range(values: np.ndarray) -> np.ndarray:
    """(M,) values shifted and scaled to [0, 1]; 0 where all are equal."""
    if not values.size:
        return values
    return np.asarray((values - values.min()) / (np.ptp(values) or 1.0))


def min_max(values: np.ndarray, part: str) -> np.ndarray:
    """(M,) values of a part in [0, 1] over the models; 0 where all are equal.

    Warns
    -----
    UninformativeScoreWarning
        If all are equal.
    """
    if np.ptp(values) == 0.0:
        warn_uninformative(
            f"{part} is the same for all models ({len(values)}) and counts as 0: it cannot tell "
            "them apart; rank more or other models"
        )
    return unit_range(values)
