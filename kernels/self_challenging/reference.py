"""Definition of `self_challenging` in NumPy float64."""

import numpy as np


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def self_challenging(
    X: np.ndarray,
    codes: np.ndarray,
    coef: np.ndarray,
    intercept: np.ndarray,
    mixing: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    X = np.asarray(X, dtype=np.float64)
    if mixing is not None:
        q, anchors = mixing
        X = q[:, None] * X + (1.0 - q)[:, None] * anchors[codes]
    p = _softmax(X @ coef.T + intercept)
    own = np.arange(len(X)), codes
    return p[own], _softmax(p)[own]
