"""`self_challenging` in C++: matrix product and both softmaxes block by block in the cache."""

import numpy as np

from ..native_runtime import as_codes, native_module, runtime_arguments


def self_challenging(
    X: np.ndarray,
    codes: np.ndarray,
    coef: np.ndarray,
    intercept: np.ndarray,
    mixing: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """See the contract in the package's docstring."""
    coef = np.ascontiguousarray(coef, dtype=np.float64)
    intercept = np.ascontiguousarray(intercept, dtype=np.float64)
    share = anchors = None
    if mixing is not None:
        share = np.ascontiguousarray(mixing[0], dtype=np.float64)
        anchors = np.ascontiguousarray(mixing[1], dtype=np.float64)
    posterior = np.empty(len(X))
    challenge = np.empty(len(X))
    native_module().self_challenging(
        X, as_codes(codes), coef, intercept, share, anchors, posterior, challenge,
        **runtime_arguments(),
    )  # fmt: skip
    return posterior, challenge
