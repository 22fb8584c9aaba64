"""`target_moments` by cuBLAS through PyTorch, block of rows by block of rows."""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_doubles, as_features

BLOCK_ELEMENTS = 1 << 24


def target_moments(X: Array, Y: Array, origin: Array = None) -> torch.Tensor:
    """See the contract in the package's docstring."""
    X = as_features(X)
    Y = as_doubles(Y, X)
    origin = None if origin is None else as_doubles(origin, X)
    moments = torch.zeros(X.shape[1], Y.shape[1], dtype=torch.float64, device=X.device)
    block_rows = max(1, BLOCK_ELEMENTS // X.shape[1])
    for rows, targets in zip(X.split(block_rows), Y.split(block_rows), strict=True):
        block = rows.double()
        moments.addmm_((block if origin is None else block - origin).T, targets)
    return moments
