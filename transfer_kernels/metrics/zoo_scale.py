"""Parts of zoo-relative metrics brought to one scale."""

from __future__ import annotations

import numpy as np

from .uninformative import warn_uninformative


def min_max(values: np.ndarray, part: str) -> np.ndarray:
    """(M,) values of a part shifted and scaled to [0, 1] over the models; 0 where all are equal.

    Warns
    -----
    UninformativeScoreWarning
        If all are equal.
    """
    low, spread = values.min(), np.ptp(values)
    if spread == 0.0:
        warn_uninformative(
            f"{part} is the same for all models ({len(values)}) and counts as 0: it cannot tell "
            "them apart; rank more or other models"
        )
        return np.zeros(len(values))
    return np.asarray((values - low) / spread)
