"""`softmax_regression` by cuBLAS through PyTorch, block of rows by block of rows."""

from __future__ import annotations

import torch

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_doubles, as_features

BLOCK_ELEMENTS = 1 << 24


def softmax_regression(
    X: Array, codes: Array, coef: Array, intercept: Array, shift: Array
) -> tuple[float, Array, float]:
    """See the contract in the package's docstring."""
    X = as_features(X)
    codes = as_codes(codes, X)[:, None]
    coef, intercept, shift = (as_doubles(array, X) for array in (coef, intercept, shift))
    n_classes, d = coef.shape
    gradient = torch.zeros((d + 1, n_classes), dtype=torch.float64, device=X.device)
    loss, curvature = torch.zeros((2,), dtype=torch.float64, device=X.device)
    block_rows = max(1, BLOCK_ELEMENTS // max(coef.shape))
    for start in range(0, len(X), block_rows):
        rows = slice(start, start + block_rows)
        Z = X[rows].double() - shift
        logs = torch.log_softmax(torch.addmm(intercept, Z, coef.T), dim=1)
        loss -= logs.gather(1, codes[rows]).sum()
        p = logs.exp_()
        curvature += (Z.square().sum(dim=1) + 1.0) @ (p * (1.0 - p)).sum(dim=1)
        p.scatter_add_(1, codes[rows], torch.full_like(p[:, :1], -1.0))
        gradient[:d].addmm_(Z.T, p)
        gradient[d] += p.sum(dim=0)
    return float(loss), gradient, float(curvature)
