"""How probable it is of each model that it is the best, by draws from the joint posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .column_prior import Posterior

Matrix = NDArray[Any]

#: A model this many standard deviations below what another has at least is never drawn as the best.
OUT_OF_REACH = 5.0


def times_best(
    posterior: Posterior, variance: Matrix, draws: int, generator: np.random.Generator
) -> Matrix:
    """Return how often (M,) each entry is the greatest of a drawn column."""
    found = np.zeros(len(posterior.mean))
    if draws < 1:
        return found
    deviation = np.sqrt(variance)
    floor = float(np.max(posterior.mean - OUT_OF_REACH * deviation))
    contends = posterior.mean + OUT_OF_REACH * deviation >= floor
    shared = generator.standard_normal((len(posterior.chol), draws))
    best, winner = np.full(draws, -np.inf), np.zeros(draws, dtype=np.int64)
    for part, moved in posterior.chunks():
        models = np.flatnonzero(contends[part])
        # Draws of a chunk of contenders stay below some 100 MB.
        for some in np.array_split(models, max(1, len(models) // 2048)):
            if not len(some):
                continue
            rows = some + part.start
            drawn = generator.standard_normal((len(rows), draws))
            drawn *= np.sqrt(posterior.own[rows])[:, None]
            drawn += posterior.mean[rows, None]
            drawn += moved[some] @ shared
            highest = drawn.argmax(axis=0)
            value = drawn[highest, np.arange(draws)]
            better = value > best
            best[better], winner[better] = value[better], rows[highest[better]]
    np.add.at(found, winner, 1.0)
    return found
