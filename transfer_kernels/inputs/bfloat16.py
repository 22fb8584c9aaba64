"""Features in bfloat16 on the host, where neither NumPy nor the kernels of CPUs have that type.

They stay as they are, and become float32, which is exact, a block of rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bytes of float32 that a block takes,
BLOCK_BYTES = 8 << 20
#: but for this many rows for each column: then adding the d x d sums of blocks takes little of the
#: time of making them, and a block takes half the memory of such a sum.
BLOCK_ROWS_PER_COLUMN = 1


class BFloat16Matrix(np.lib.mixins.NDArrayOperatorsMixin):
    """A matrix (n, d) of bfloat16, which NumPy sees as one of float32.

    What is not here it does as the float32 array, which is made for the purpose.

    Parameters
    ----------
    halves : (n, d) uint16 array
        The upper halves of the numbers as float32. It is not copied.

    Attributes
    ----------
    shape : tuple of int
    dtype : float32
        Of what it is seen as.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, halves: NDArray[np.uint16]) -> None:
        self.halves = halves

    @property
    def shape(self) -> tuple[int, ...]:
        return self.halves.shape

    @property
    def T(self) -> BFloat16Matrix:
        return BFloat16Matrix(self.halves.T)

    def __len__(self) -> int:
        return len(self.halves)

    def __getitem__(self, key: Any) -> Any:
        """Rows, as another such matrix; anything else as float32."""
        part = self.halves[key]
        if part.ndim == 2 and not isinstance(key, tuple):
            return BFloat16Matrix(part)
        return widened(part)[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("bfloat16 cannot be seen as another type without a copy")
        wide = np.empty(self.shape, np.float32 if dtype is None else dtype)
        for rows, block in self.blocks():
            wide[rows] = block
        return wide

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        wide = [np.asarray(x) if isinstance(x, BFloat16Matrix) else x for x in inputs]
        return getattr(ufunc, method)(*wide, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(np.asarray(self), name)

    def astype(self, dtype: Any, copy: bool = True) -> NDArray[Any]:
        """The numbers as an array of another type."""
        return np.asarray(self, dtype=dtype)

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield all rows in blocks: which they are, and their numbers (rows, d).

        The numbers of a block are overwritten by those of the next.
        """
        width = max(1, self.shape[1])
        step = min(len(self), max(BLOCK_BYTES // (4 * width), BLOCK_ROWS_PER_COLUMN * width))
        buffer = np.empty((step, self.shape[1]), np.uint32)
        for start in range(0, len(self), max(1, step)):
            rows = slice(start, min(start + step, len(self)))
            block = buffer[: rows.stop - start]
            np.left_shift(self.halves[rows], 16, out=block, dtype=np.uint32)
            yield rows, block.view(np.float32)

    def max(self, **options: Any) -> Any:
        return np.asarray(self).max(**options) if options else self._range[1]

    def min(self, **options: Any) -> Any:
        return np.asarray(self).min(**options) if options else self._range[0]

    @cached_property
    def _range(self) -> tuple[np.float32, np.float32]:
        ends = [(block.min(), block.max()) for _, block in self.blocks()]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def mean(self, axis: int | None = None, dtype: Any = None, **options: Any) -> Any:
        if axis != 0 or dtype is None or options:
            return np.asarray(self).mean(axis=axis, dtype=dtype, **options)
        total = np.zeros(self.shape[1], dtype)
        for _, block in self.blocks():
            total += block.sum(axis=0, dtype=dtype)
        return total / len(self)


def widened(halves: Any) -> NDArray[np.float32]:
    """Numbers in bfloat16 as float32, whose upper half they are."""
    wide = np.asarray(halves).astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def _add(total: Any, part: Any) -> None:
    """Add a scatter around the same shift in place: its Gram matrix may be large."""
    sums = {id(getattr(total, f.name)): f.name for f in fields(total) if f.name != "shift"}
    for name in sums.values():  # without weights, the root sums are the sums themselves
        array = getattr(total, name)
        array += getattr(part, name)


class ByBlocks:
    """An op's version for the host, that takes a `BFloat16Matrix` first.

    What runs over the rows once is given them in blocks; what reads them by blocks itself is given
    the matrix; all else gets the numbers as float32.

    Parameters
    ----------
    version : module
        One of those in ``kernels/<op>/``.
    """

    def __init__(self, version: Any) -> None:
        self._version = version

    def first_nonfinite(self, X: BFloat16Matrix) -> tuple[int, int] | None:
        for rows, block in X.blocks():
            if (found := self._version.first_nonfinite(block)) is not None:
                return rows.start + found[0], found[1]
        return None

    def fisher_scatter(
        self, X: BFloat16Matrix, codes: Any, n_classes: int, weights: Any = None, shift: Any = None
    ) -> Any:
        from ..kernels.fisher_scatter import default_shift

        total = None
        shift = default_shift(X) if shift is None else shift
        for rows, block in X.blocks():
            share = None if weights is None else weights[rows]
            part = self._version.fisher_scatter(block, codes[rows], n_classes, share, shift)
            if total is None:
                total = part
            else:
                _add(total, part)
            del part  # before the next is made
        return total

    def self_challenging(
        self, X: BFloat16Matrix, codes: Any, coef: Any, intercept: Any, mixing: Any = None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        posterior, challenge = np.empty(len(X)), np.empty(len(X))
        for rows, block in X.blocks():
            mixed = None if mixing is None else (mixing[0][rows], *mixing[1:])
            posterior[rows], challenge[rows] = self._version.self_challenging(
                block, codes[rows], coef, intercept, mixed
            )
        return posterior, challenge

    def randomized_pca(self, X: BFloat16Matrix, *options: Any) -> Any:
        return self._version.randomized_pca(X, *options)

    def target_moments(self, X: BFloat16Matrix, *options: Any) -> Any:
        return self._version.target_moments(X, *options)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._version, name)
        if not callable(function):
            return function
        return lambda X, *arguments, **options: function(np.asarray(X), *arguments, **options)
