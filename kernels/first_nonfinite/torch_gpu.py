"""`first_nonfinite` by PyTorch: extremes of the rows, which NaN passes through, then one row."""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_features


def first_nonfinite(X: Array) -> tuple[int, int] | None:
    """See the contract in the package's docstring."""
    X = as_features(X)
    lowest, highest = torch.aminmax(X, dim=1)
    bad_rows = ~(lowest.isfinite() & highest.isfinite())
    row = int(bad_rows.to(torch.uint8).argmax())
    bad = ~X[row].isfinite()
    column = int(bad.to(torch.uint8).argmax())
    return (row, column) if bool(bad[column]) else None
