"""From one large model's features of a task to the task's place in the transfer space.

Regressors are plain arrays once they are fitted, so that they are saved as tensors and predict
without the library that fitted them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ...optional_packages import require
from ..saved_state import LARGEST, SavedState
from .neighbour_regression import Neighbours

Matrix = NDArray[Any]


class Regressor(Protocol):
    """What Fennec asks of a fitted regressor."""

    kind: ClassVar[str]

    def place(self, images: Matrix) -> Matrix:
        """Return the place (k,) of a task from the proxy's features (n, d) of its images."""
        ...

    @property
    def n_features(self) -> int:
        """d."""
        ...

    @classmethod
    def restored(cls, saved: SavedState, n_tasks: int, k: int) -> Regressor:
        """Make it again of its arrays in a file, which are checked.

        Raises
        ------
        ValueError
            If one is not as `fit` makes it.
        """
        ...


@dataclass(frozen=True)
class Forest:
    """A forest of regression trees, all nodes in one array each.

    Attributes
    ----------
    roots : (n_trees,) int array
        Index of each tree's first node.
    left, right : (n_nodes,) int arrays
        Indices of the children; a leaf has itself as both.
    feature, threshold : (n_nodes,) arrays
        A sample goes left where the feature is at most the threshold.
    values : (n_nodes, k) array
        Mean target of the samples that reached the node in fitting.
    width : (1,) int array
        Number of features.
    """

    kind: ClassVar[str] = "forest"
    roots: Matrix
    left: Matrix
    right: Matrix
    feature: Matrix
    threshold: Matrix
    values: Matrix
    width: Matrix

    @classmethod
    def fit(
        cls, images: Sequence[Matrix], places: Matrix, *, n_trees: int, seed: int, **_: Any
    ) -> Forest:
        """Fit a random forest to all images of all tasks, each with the place of its task."""
        ensemble = require(
            "sklearn.ensemble",
            "RandomForestRegressor",
            use='fitting a forest (regressor="ridge" fits none)',
            extra="recommend",
            title="scikit-learn",
        )
        X = np.concatenate([np.asarray(x, dtype=np.float32) for x in images])
        y = np.repeat(places, [len(x) for x in images], axis=0)
        target = y[:, 0] if y.shape[1] == 1 else y
        fitted = ensemble.RandomForestRegressor(n_trees, random_state=seed).fit(X, target)
        trees = [one.tree_ for one in fitted.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        own = [np.arange(tree.node_count) for tree in trees]

        def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
            return np.concatenate(list(parts))

        def children(side: str) -> np.ndarray:
            return joined(
                np.where(tree.children_left < 0, self, getattr(tree, side)) + start
                for tree, self, start in zip(trees, own, starts, strict=False)
            ).astype(np.int32)

        return cls(
            roots=starts[:-1].astype(np.int32),
            left=children("children_left"),
            right=children("children_right"),
            feature=joined(np.maximum(tree.feature, 0) for tree in trees).astype(np.int32),
            threshold=joined(tree.threshold for tree in trees),
            values=joined(tree.value[:, :, 0] for tree in trees),
            width=np.array([X.shape[1]], dtype=np.int64),
        )

    @classmethod
    def restored(cls, saved: SavedState, n_tasks: int, k: int) -> Forest:
        """Make it again of its arrays in a file, which are checked: every walk ends in a leaf."""
        width = saved.tensor("regressor.width", (1,), np.int64, low=1, high=2**31 - 1)
        left = saved.tensor("regressor.left", (None,), np.int32)
        n = len(left)
        right = saved.tensor("regressor.right", (n,), np.int32, low=0, high=n - 1)
        own = np.arange(n)
        is_leaf = (left == own) & (right == own)
        # Children that come later can lead back to no node.
        is_fork = (left > own) & (right > own) & (left < n)
        if not (is_leaf | is_fork).all():
            node = int(np.argmin(is_leaf | is_fork))
            raise saved.refused(
                "regressor.left",
                f"and regressor.right: node {node} has the children {left[node]} and "
                f"{right[node]}; a leaf has itself as both, any other node later ones",
                tensor=True,
            )
        return cls(
            roots=saved.tensor("regressor.roots", (None,), np.int32, low=0, high=n - 1),
            left=left,
            right=right,
            feature=saved.tensor(
                "regressor.feature", (n,), np.int32, low=0, high=int(width[0]) - 1
            ),
            threshold=saved.tensor("regressor.threshold", (n,)),
            values=saved.tensor("regressor.values", (n, k), low=0.0),
            width=width,
        )

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.width[0])

    def place(self, images: Matrix) -> Matrix:
        """Return the mean of the images' predictions (k,)."""
        X = np.asarray(images, dtype=np.float32)
        rows = np.arange(len(X))[:, None]
        node = np.broadcast_to(self.roots, (len(X), len(self.roots)))
        while True:
            goes_left = X[rows, self.feature[node]] <= self.threshold[node]
            below = np.where(goes_left, self.left[node], self.right[node])
            if (below == node).all():
                return self.values[node].mean(axis=(0, 1))
            node = below


@dataclass(frozen=True)
class Ridge:
    """Linear ridge regression of a task's place on the mean of its images' features.

    Attributes
    ----------
    weights : (d, k) array
    center : (d,) array
        Mean of the tasks' means.
    scale : (1,) array
        What features are divided by: the tasks' root mean square distance from the center.
    base : (k,) array
        Mean place.
    """

    kind: ClassVar[str] = "ridge"
    weights: Matrix
    center: Matrix
    scale: Matrix
    base: Matrix

    #: Penalties to choose from, by leave-one-task-out error.
    PENALTIES: ClassVar[Matrix] = np.logspace(-3, 3, 13)

    @classmethod
    def fit(cls, images: Sequence[Matrix], places: Matrix, **_: Any) -> Ridge:
        """Fit to the mean image of every task; the penalty is chosen by leaving one task out."""
        means = np.array([np.mean(x, axis=0, dtype=np.float64) for x in images])
        center, base = means.mean(axis=0), places.mean(axis=0)
        X = means - center
        scale = np.sqrt(np.sum(X**2) / len(X)) or 1.0
        X = X / scale
        target = places - base
        eigenvalues, vectors = np.linalg.eigh(X @ X.T)
        eigenvalues = np.maximum(eigenvalues, 0.0)

        def left_out_error(penalty: float) -> float:
            # Allen's identity for ridge regression; the mean counts as one more fitted value.
            shrink = vectors * (eigenvalues / (eigenvalues + penalty)) @ vectors.T
            residual = target - shrink @ target
            leverage = np.diagonal(shrink) + 1.0 / len(X)
            return float(np.sum((residual / (1.0 - np.minimum(leverage, 0.999))[:, None]) ** 2))

        penalty = min(cls.PENALTIES, key=left_out_error)
        dual = vectors / (eigenvalues + penalty) @ (vectors.T @ target)
        return cls(X.T @ dual, center, np.array([scale]), base)

    @classmethod
    def restored(cls, saved: SavedState, n_tasks: int, k: int) -> Ridge:
        """Make it again of its arrays in a file, which are checked."""
        center = saved.tensor("regressor.center", (None,))
        return cls(
            weights=saved.tensor("regressor.weights", (len(center), k)),
            center=center,
            scale=saved.tensor("regressor.scale", (1,), low=1.0 / LARGEST),
            base=saved.tensor("regressor.base", (k,)),
        )

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.center)

    def place(self, images: Matrix) -> Matrix:
        """Return the place (k,) of the mean image, no coordinate below 0."""
        mean = np.mean(images, axis=0, dtype=np.float64)
        place = self.base + (mean - self.center) / self.scale @ self.weights
        return np.maximum(place, 0.0)


REGRESSORS: Mapping[str, Any] = {one.kind: one for one in (Forest, Ridge, Neighbours)}


def tensors_of(regressor: Any) -> dict[str, Matrix]:
    """Return the arrays of a regressor by name."""
    return dict(vars(regressor))
