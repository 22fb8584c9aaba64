"""Which past tasks are like a new one, by one large model's features of their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...files.feature_files import FeatureFile
from ...inputs import arrays
from ...kernels.array_namespace import on_host
from ...text.quoting import shown
from ..fennec.neighbour_regression import description, kernel_weights
from ..history import Task, TransferHistory

Matrix = NDArray[Any]

#: Relative to the median distance of two past tasks.
BANDWIDTHS = np.geomspace(0.01, 10.0, 13)


@dataclass(frozen=True)
class ProxyKernel:
    """Descriptions of the past tasks' images, and how fast their weight falls with the distance.

    Attributes
    ----------
    descriptions : (T, 2 d) array
        Standardised means and deviations of the proxy's features.
    center, scale : (2 d,) arrays
    bandwidth : float
    """

    descriptions: Matrix
    center: Matrix
    scale: Matrix
    bandwidth: float

    @classmethod
    def of_history(cls, history: TransferHistory, tasks: Sequence[str]) -> ProxyKernel:
        """Describe past tasks by their proxy features; the bandwidth is to be chosen."""
        images = [proxy_images(history.task(task)) for task in tasks]
        widths = sorted({x.shape[1] for x in images})
        if len(widths) > 1:
            raise ValueError(
                f"proxies: features of {' and '.join(map(str, widths))} columns; all tasks need "
                "those of one and the same model"
            )
        raw = np.array([description(x) for x in images])
        center, scale = raw.mean(axis=0), raw.std(axis=0)
        scale = np.where(scale > 0.0, scale, 1.0)
        return cls((raw - center) / scale, center, scale, 1.0)

    def fitted(self, columns: Matrix) -> ProxyKernel:
        """Return the kernel whose bandwidth tells past columns (M, T) best from the others."""
        T = columns.shape[1]
        distances = self._distances()
        apart = distances[~np.eye(T, dtype=bool)]
        unit = float(np.median(apart)) if T > 1 and apart.any() else 1.0
        products = columns.T @ columns

        def left_out_error(bandwidth: float) -> float:
            miss = np.eye(T) - self._left_out(distances, bandwidth)
            return float(np.sum(miss * (products @ miss)))

        chosen = min((unit * BANDWIDTHS).tolist(), key=left_out_error) if T > 1 else unit
        return ProxyKernel(self.descriptions, self.center, self.scale, chosen)

    def left_out_weights(self) -> Matrix:
        """Return weights (T, T): column t weighs the other past tasks for task t."""
        return self._left_out(self._distances(), self.bandwidth)

    def weights(self, task: Task) -> Matrix:
        """Return the weights (T,) of the past tasks for a new one."""
        images = proxy_images(task)
        if 2 * images.shape[1] != len(self.center):
            raise ValueError(
                f"proxy features of task {shown(task.name)} have {images.shape[1]} columns, but "
                f"those of fit have {len(self.center) // 2}; use the same large model"
            )
        new = (description(images) - self.center) / self.scale
        return kernel_weights(np.mean((self.descriptions - new) ** 2, axis=1), self.bandwidth)

    def _distances(self) -> Matrix:
        X = self.descriptions
        distances = np.array([np.mean((X - x) ** 2, axis=1) for x in X])
        np.fill_diagonal(distances, np.inf)
        return distances

    @staticmethod
    def _left_out(distances: Matrix, bandwidth: float) -> Matrix:
        if len(distances) < 2:
            return np.zeros(distances.shape)
        return np.array([kernel_weights(row, bandwidth) for row in distances]).T


def proxy_images(task: Task) -> Matrix:
    """Return the proxy's features of a task (n, d), checked, on the host."""
    found: FeatureFile = task.proxy()
    name = f"proxy features of task {shown(task.name)}"
    images = on_host(arrays.as_features(found.features, name))
    if not np.isfinite(images).all():
        row, column = np.argwhere(~np.isfinite(images))[0]
        arrays.refuse_nonfinite((row, column), images, name)
    return images
