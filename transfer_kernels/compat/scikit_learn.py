"""scikit-learn: metrics as scorers, and layers as a step, so that searches go over both.

``GridSearchCV`` then chooses layer and number of principal components by a transferability metric,
without training a classifier. scikit-learn itself is not needed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..estimators import Estimator
from ..metrics import MetricCall, metric_call


class TransferabilityScorer:
    """A scorer ``scorer(estimator, X, y) -> float``: the metric of what the estimator transforms.

    Parameters
    ----------
    metric : str, Metric or callable
        A spec, such as ``"logme"`` or ``"hscore(shrinkage='ledoit-wolf')"``.

    Raises
    ------
    TypeError, ValueError
        If the spec is unknown, or the metric needs more than features and labels, or compares
        models.
    """

    def __init__(self, metric: Any = "logme"):
        self.metric = metric
        call = self._call
        if call.metric.needs - {"features"} or call.metric.parts:
            raise ValueError(
                f"metric={call.spec!r} has no score of features and labels alone; choose another"
            )

    @property
    def _call(self) -> MetricCall:
        return metric_call(self.metric)

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """The score, higher is better, of a fitted estimator's features of X (n, d) with y (n,)."""
        call = self._call
        return float(call.metric(_features(estimator, X), y, **call.options))

    def __repr__(self) -> str:
        return f"TransferabilityScorer({self._call.spec!r})"


def _features(estimator: Any, X: Any) -> Any:
    """What an estimator's transformations make of X; of a pipeline all steps but a predictor."""
    if hasattr(estimator, "transform"):
        return estimator.transform(X)
    if hasattr(estimator, "steps"):
        return estimator[:-1].transform(X) if len(estimator.steps) > 1 else X
    raise TypeError(f"estimator {estimator!r} transforms nothing; put it behind a pipeline's steps")


class SelectLayer(Estimator):
    """A step of a pipeline that takes the columns of one layer; see `stack_layers`.

    Parameters
    ----------
    layers : mapping of str to (int, int)
        First column, and the one behind the last, of every layer.
    layer : str, optional
        The one to take; by default the last.
    """

    def __init__(self, layers: Any = None, layer: Any = None):
        self.layers = layers
        self.layer = layer

    def fit(self, X: Any, y: Any = None) -> SelectLayer:
        """Check the layer's name; returns self."""
        layers = self.layers or {}
        layer = next(reversed(layers), None) if self.layer is None else self.layer
        if layer not in layers:
            raise ValueError(f"layer={layer!r} is unknown; there are {', '.join(map(str, layers))}")
        self.columns_ = slice(*layers[layer])
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        """(n, width of the layer) columns of X (n, d)."""
        return X[:, self.columns_]

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """`fit`, then `transform`."""
        return self.fit(X, y).transform(X)


def stack_layers(layers: Mapping[str, Any]) -> tuple[np.ndarray, SelectLayer]:
    """Features of several layers side by side, and the step that takes one of them out again.

    Parameters
    ----------
    layers : mapping of str to (n, d_l) array
        Features of the same samples.

    Returns
    -------
    X : (n, sum of d_l) array
    step : SelectLayer
        For a pipeline; its ``layer`` is what a search varies.

    Raises
    ------
    ValueError
        If there are none, or they are of different numbers of samples.
    """
    arrays = {name: np.asarray(values) for name, values in layers.items()}
    shapes = {name: values.shape for name, values in arrays.items()}
    if not arrays or any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"layers must be matrices (n, d), at least one, not of shapes {shapes}")
    if len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(f"layers must be of the same samples, but their shapes are {shapes}")
    ends = np.cumsum([shape[1] for shape in shapes.values()]).tolist()
    starts = [0, *ends[:-1]]
    columns = dict(zip(arrays, zip(starts, ends, strict=True), strict=True))
    return np.concatenate(list(arrays.values()), axis=1), SelectLayer(columns)
