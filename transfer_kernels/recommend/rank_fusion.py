"""Several scores of the same models fused into one, by their ranks alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DAMPING = 60.0


def reciprocal_rank_fusion(scores: Any, damping: float = DAMPING) -> NDArray[np.float64]:
    """Fuse scores: each adds 1 / (damping + rank) to a model, the best of M models having rank 1.

    Parameters
    ----------
    scores : (S, M) array_like
        One row a score, higher is better. Equal scores share the better rank; NaN has no rank and
        adds nothing.
    damping : float, default 60
        The greater, the less the first ranks stand out.

    Returns
    -------
    fused : (M,) array
        Higher is better. Models with the same ranks, in whatever scores, get the same bits.

    Raises
    ------
    ValueError
        If the scores are not of two axes, or ``damping`` is negative.

    References
    ----------
    Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods", SIGIR 2009.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"scores: shape {matrix.shape} given; one row a score is needed")
    if damping < 0:
        raise ValueError(f"damping: {damping} given; it is not negative")
    ranks = np.array([_ranks_from_the_best(row) for row in matrix]).reshape(matrix.shape)
    parts = np.where(np.isnan(matrix), 0.0, 1.0 / (damping + ranks))
    return np.sort(parts, axis=0).sum(axis=0)


def _ranks_from_the_best(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """One more than how many are better: sorted, since comparing all pairs takes M^2 memory."""
    known = np.sort(scores[~np.isnan(scores)])
    below = np.searchsorted(known, scores, side="right")
    return np.asarray(1.0 + len(known) - below, dtype=np.float64)
