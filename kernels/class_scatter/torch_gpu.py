"""`class_scatter` by cuBLAS and cuSOLVER through PyTorch, class after class."""

from collections.abc import Iterator
from typing import Any

import torch

from ..array_namespace import Array
from ..positive_definite import shared_from_rows
from ..positive_definite.torch_gpu import log_determinant
from ..torch_runtime import as_codes, as_doubles, as_features


def _samples_by_class(codes: torch.Tensor, n_classes: int) -> Iterator[Any]:
    order = torch.argsort(codes, stable=True)
    ends = torch.bincount(codes, minlength=n_classes).cumsum(0).tolist()
    for c, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if start < end:
            yield c, order[start:end]


def class_logdets(X: Array, codes: Array, n_classes: int, shift: Array, scales: Array) -> Array:
    """See the contract in the package's docstring."""
    X = as_features(X)
    codes, shift, scales = as_codes(codes, X), as_doubles(shift, X), as_doubles(scales, X)
    logdets = torch.zeros(n_classes, dtype=torch.float64, device=X.device)
    for c, members in _samples_by_class(codes, n_classes):
        rows = X[members].double() - shift
        gram = rows @ rows.T if len(rows) <= X.shape[1] else rows.T @ rows
        logdets[c] = log_determinant(gram, scales[c])
        if torch.isnan(logdets[c]):
            logdets[c] = shared_from_rows.log_determinant(rows, float(scales[c]))
    return logdets


def class_covariances(X: Array, codes: Array, n_classes: int, unbiased: bool = False) -> Array:
    """See the contract in the package's docstring."""
    X = as_features(X)
    shape = (n_classes, X.shape[1], X.shape[1])
    covariances = torch.zeros(shape, dtype=torch.float64, device=X.device)
    for c, members in _samples_by_class(as_codes(codes, X), n_classes):
        Z = X[members].double()
        Z -= Z.mean(dim=0)
        covariances[c] = Z.T @ Z / max(1, len(members) - unbiased)
    return covariances


def class_variances(X: Array, codes: Array, n_classes: int) -> Array:
    """See the contract in the package's docstring."""
    X = as_features(X)
    shape = (n_classes, X.shape[1])
    variances = torch.zeros(shape, dtype=torch.float64, device=X.device)
    for c, members in _samples_by_class(as_codes(codes, X), n_classes):
        Z = X[members].double()
        variances[c] = (Z - Z.mean(dim=0)).square_().mean(dim=0)
    return variances
