"""`source_posteriors` by PyTorch, block of rows by block of rows in the order of their classes."""

import torch

from ..torch_runtime import as_codes, as_doubles, as_features
from . import is_sparse

BLOCK_ELEMENTS = 1 << 24


def _on_device(theta):
    if is_sparse(theta):  # SciPy's, on the host: PyTorch's own cannot say whether rows are sorted
        theta = theta.toarray()
    return as_features(theta)


def _blocks(theta, order):
    """Places in the order of the classes, and the rows there as doubles."""
    step = max(1, BLOCK_ELEMENTS // theta.shape[1])
    for start in range(0, len(theta), step):
        places = slice(start, start + step)
        yield order[places], theta[order[places]].double()


def _add_classes(rows, codes, sums):
    """Add rows that are sorted by class to the classes' sums, without atomics."""
    present, counts = torch.unique_consecutive(codes, return_counts=True)
    sums[present] += torch.segment_reduce(rows, "sum", lengths=counts, axis=0)


def class_sums(theta, codes, n_classes):
    """See the contract in the package's docstring."""
    theta = _on_device(theta)
    codes = as_codes(codes, theta)
    totals = torch.empty(len(theta), dtype=torch.float64, device=theta.device)
    sums, lowest = totals.new_zeros((n_classes, theta.shape[1])), torch.empty_like(totals)
    for places, rows in _blocks(theta, torch.argsort(codes, stable=True)):
        _add_classes(rows, codes[places], sums)
        totals[places], lowest[places] = rows.sum(dim=1), rows.amin(dim=1)
    return sums, totals, lowest


def own_class(theta, codes, table):
    """See the contract in the package's docstring."""
    theta = _on_device(theta)
    codes, table = as_codes(codes, theta), as_doubles(table, theta)
    values = torch.empty(len(theta), dtype=torch.float64, device=theta.device)
    for places, rows in _blocks(theta, torch.argsort(codes, stable=True)):
        values[places] = (rows * table[codes[places]]).sum(dim=1)
    return values


def tilted_sums(theta, codes, table, floor):
    """See the contract in the package's docstring."""
    theta = _on_device(theta)
    codes, table = as_codes(codes, theta), as_doubles(table, theta)
    sums, logs = torch.zeros_like(table), []
    for places, rows in _blocks(theta, torch.argsort(codes, stable=True)):
        rows = rows.add_(floor).mul_(table[codes[places]])
        norms = rows.sum(dim=1)
        logs.append(norms.log().sum())
        _add_classes(rows.div_(norms[:, None]), codes[places], sums)
    return sums, float(torch.stack(logs).sum())
