"""A new task's place in the transfer space from the past tasks that the proxy finds alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..saved_state import LARGEST, SavedState

Matrix = NDArray[Any]


@dataclass(frozen=True)
class Neighbours:
    """Mean of the past tasks' places, weighted by how alike the tasks are (Nadaraya-Watson).

    A task is described by the mean and the standard deviation of each of the proxy's features over
    its images, standardised over the past tasks; a weight is exp(-squared distance / bandwidth). A
    place so found is never outside those of the past, however unlike them the new task is.

    Attributes
    ----------
    descriptions : (T, 2 d) array
        Of the past tasks, standardised.
    center, scale : (2 d,) arrays
        What they were standardised by.
    places : (T, k) array
    bandwidth : (1,) array
    """

    kind: ClassVar[str] = "neighbours"
    descriptions: Matrix
    center: Matrix
    scale: Matrix
    places: Matrix
    bandwidth: Matrix

    #: To choose from, by leave-one-task-out error: parts of the median squared distance.
    BANDWIDTHS: ClassVar[Matrix] = np.logspace(0.5, -1.5, 9)

    @classmethod
    def fit(cls, images: Sequence[Matrix], places: Matrix, **_: Any) -> Neighbours:
        """Describe the past tasks; the bandwidth is chosen by leaving one of them out."""
        raw = np.array([description(x) for x in images])
        center, scale = raw.mean(axis=0), raw.std(axis=0)
        scale = np.where(scale > 0.0, scale, 1.0)
        X = (raw - center) / scale
        distances = np.array([np.mean((X - x) ** 2, axis=1) for x in X])
        apart = distances[~np.eye(len(X), dtype=bool)]
        unit = float(np.median(apart)) if apart.any() else 1.0
        np.fill_diagonal(distances, np.inf)

        def left_out_error(bandwidth: float) -> float:
            guesses = np.array([kernel_weights(row, bandwidth) @ places for row in distances])
            return float(np.sum((guesses - places) ** 2))

        bandwidths = unit * cls.BANDWIDTHS
        chosen = min(bandwidths, key=left_out_error) if len(X) > 1 else unit
        return cls(X, center, scale, places, np.array([chosen]))

    @classmethod
    def restored(cls, saved: SavedState, n_tasks: int, k: int) -> Neighbours:
        """Make it again of its arrays in a file, which are checked."""
        center = saved.tensor("regressor.center", (None,))
        if len(center) % 2:
            raise saved.refused(
                "regressor.center",
                f"has {len(center)} numbers, not an even number: means, then deviations",
                tensor=True,
            )
        return cls(
            descriptions=saved.tensor("regressor.descriptions", (n_tasks, len(center))),
            center=center,
            scale=saved.tensor("regressor.scale", (len(center),), low=1.0 / LARGEST),
            places=saved.tensor("regressor.places", (n_tasks, k), low=0.0),
            bandwidth=saved.tensor("regressor.bandwidth", (1,), low=1.0 / LARGEST),
        )

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.center) // 2

    def place(self, images: Matrix) -> Matrix:
        """Return the weighted mean of the past tasks' places (k,)."""
        new = (description(images) - self.center) / self.scale
        distances = np.mean((self.descriptions - new) ** 2, axis=1)
        return kernel_weights(distances, float(self.bandwidth[0])) @ self.places


def description(images: Matrix) -> Matrix:
    """Return mean and standard deviation of every feature of a task's images (2 d,)."""
    X = np.asarray(images, dtype=np.float64)
    return np.concatenate([X.mean(axis=0), X.std(axis=0)])


def kernel_weights(distances: Matrix, bandwidth: float) -> Matrix:
    """Return weights that fall exponentially with the distance and sum to 1."""
    # Measured from the nearest, whose weight cannot vanish.
    weights = np.exp(-(distances - distances.min()) / bandwidth)
    return weights / weights.sum()
