"""The k best of many scores, on the host or on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.array_namespace import is_tensor, on_host


def best_first(scores: Any, k: int) -> NDArray[np.int64]:
    """Indices of the k highest scores, best first; of equal ones, the first is first."""
    if is_tensor(scores):
        return _best_of_tensor(scores, k)
    # What the k-th score must at least be, before anything is sorted.
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    reached = np.flatnonzero(scores >= least)
    return reached[np.argsort(-scores[reached], kind="stable")[:k]]


def _best_of_tensor(scores: Any, k: int) -> NDArray[np.int64]:
    import torch

    reached = torch.nonzero(scores >= torch.topk(scores, k).values[-1])[:, 0]
    order = torch.sort(scores[reached], descending=True, stable=True).indices[:k]
    return on_host(reached[order])
