"""Features of which the columns are standardised, by blocks of rows: what RSA and DDS share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, as_float64

BLOCK_ELEMENTS = 1 << 20


@dataclass(frozen=True)
class Standardised:
    """Features of which every column has mean 0 and variance 1; a constant column is left at 0."""

    features: Any
    mean: Any
    scales: Any

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield all rows in float64 in blocks, and which they are."""
        for rows, block in _blocks(self.features):
            yield rows, (block - self.mean) * self.scales

    def whole(self) -> Any:
        """(n, d) float64: a copy."""
        xp = array_namespace(self.features)
        return xp.concatenate([block for _, block in self.blocks()])


def standardised(features: Any) -> Standardised:
    """The features, standardised where they vary by more than rounding, as PARC does it."""
    xp = array_namespace(features)
    n, eps = len(features), float(np.finfo(np.float64).eps)
    peak = max(abs(float(features.max())), abs(float(features.min())))
    unit = 2.0 ** np.clip(np.frexp(peak)[1], -1000, 1000) if peak > 0.0 else 1.0
    mean = sum((block / unit).sum(axis=0) for _, block in _blocks(features)) / n
    square = sum(((block / unit - mean) ** 2).sum(axis=0) for _, block in _blocks(features)) / n
    varies = square > n * eps * (square + n * eps * mean**2)
    roots = xp.where(varies, square, xp.ones_like(square)) ** 0.5
    scales = xp.where(varies, 1.0 / roots, xp.zeros_like(roots))
    return Standardised(features, mean * unit, scales / unit)


def _blocks(features: Any) -> Iterator[tuple[slice, Any]]:
    step = max(1, BLOCK_ELEMENTS // features.shape[1])
    for start in range(0, len(features), step):
        rows = slice(start, min(start + step, len(features)))
        yield rows, as_float64(features[rows])
