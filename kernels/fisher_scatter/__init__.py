"""Contract of `fisher_scatter`: class sums and second moment of the features in one pass.

    fisher_scatter(X, codes, n_classes, weights=None, shift=None) -> FisherScatter

``X`` is (n, d), float16, float32 or float64, on a GPU bfloat16 too, any strides; ``codes`` (n,)
integers below n_classes; ``weights`` (n,) float64, not negative, all one when absent. With w the
weights and c the classes,

    counts[c] = sum of w[i] over class c            sums[c] = sum of w[i] x[i] over class c
    gram      = sum over i of w[i] x[i] x[i]^T

accumulated in float64 around a ``shift`` (d,) near the mean of the features, so that a large offset
costs no digits: `default_shift` where the caller knows none better. Also the class sums with the
square roots of the weights, which Self-challenging Fisher Discriminant Analysis (Shao et al., ECCV
2022) needs of its mixed features.

Work n d (d + 1) flops; memory beyond X is O(d^2 + n_classes d), on a GPU O(n) more for the order of
the classes. Results over disjoint samples add. A version may offer faster products of a lower
precision by name, as a last argument ``precision``; its PRECISIONS then lists them.

The compiled version gives the same bits on every run and for any number of threads; they are those
of one instruction set. Numba's Gram matrix is summed by BLAS, which promises no such thing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..array_namespace import Array, array_namespace, as_float64, is_tensor, on_host
from . import shared_saved

#: Rows that are looked at for the shift.
SHIFT_ROWS = 64

#: Offsets up to so many spreads are left alone: they cost two digits of sixteen, and a shift of
#: zero need not be undone.
HARMLESS_OFFSET = 10.0


def default_shift(X: Array) -> Array:
    """(d,) float64 mean of some rows of X where it is far from zero, in spreads; else zero.

    The rows are spread evenly: samples often come sorted by class.
    """
    n_rows = min(SHIFT_ROWS, len(X))
    rows = as_float64(X[[i * len(X) // n_rows for i in range(n_rows)]])
    mean = rows.mean(axis=0)
    spread = ((rows - mean) ** 2).mean(axis=0) ** 0.5
    return array_namespace(X).where(abs(mean) > HARMLESS_OFFSET * spread, mean, 0.0)


def _rank_two_update(gram: Array, left: Array, right: Array) -> Array:
    """Upper triangle of gram + left right^T + right left^T."""
    if is_tensor(gram):
        return gram.addr(left, right).addr_(right, left)
    from scipy.linalg.blas import dsyr2

    # BLAS sees the upper triangle of a C-ordered matrix as a lower one.
    gram = np.array(gram, order="C", copy=True)
    return dsyr2(1.0, left, right, lower=1, a=gram.T, overwrite_a=1).T


@dataclass(frozen=True)
class FisherScatter:
    """Weighted class sums and Gram matrix of n samples with d features in C classes.

    Everything is float64: NumPy arrays, or tensors where the features were on a GPU. The attributes
    named ``shifted_`` are those of x - shift, the form in which the sums are made and should be
    used where digits matter; the properties `sums` and `gram` are those of x itself.

    Parameters
    ----------
    shift : (d,) array
        Subtracted from every sample before it is summed.
    counts : (C,) array
        Sum of the weights of each class.
    shifted_sums : (C, d) array
        Sum of w (x - shift) over each class.
    shifted_gram : (d, d) array
        Sum of w (x - shift)(x - shift)^T. Only the upper triangle is meant; what stands below the
        diagonal is undefined.
    root_counts, shifted_root_sums : (C,) and (C, d) arrays
        ``counts`` and ``shifted_sums`` with the square roots of the weights in their place.
    """

    shift: Array
    counts: Array
    shifted_sums: Array
    shifted_gram: Array
    root_counts: Array
    shifted_root_sums: Array

    @property
    def sums(self) -> Array:
        """(C, d) sum of w x over each class."""
        return self.shifted_sums + self._xp.outer(self.counts, self.shift)

    @property
    def gram(self) -> Array:
        """(d, d) sum of w x x^T, both triangles."""
        return self._symmetric(self.moved_to(self._xp.zeros_like(self.shift)).shifted_gram)

    @property
    def means(self) -> Array:
        """(C, d) weighted class means; NaN for a class without weight."""
        return self.shifted_means + self.shift

    @property
    def shifted_means(self) -> Array:
        """(C, d) weighted class means of x - shift; NaN for a class without weight."""
        with np.errstate(invalid="ignore"):
            return self.shifted_sums / self.counts[:, None]

    @property
    def _xp(self) -> Any:
        return array_namespace(self.shift)

    def _symmetric(self, gram: Array) -> Array:
        """Both triangles of a matrix of which the upper one is meant."""
        return self._xp.triu(gram) + self._xp.triu(gram, 1).T

    def within(self) -> Array:
        """(d, d) within-class scatter divided by the total weight, both triangles."""
        present = self.counts > 0
        roots = self.shifted_sums[present] / self.counts[present][:, None] ** 0.5
        return self._symmetric((self.shifted_gram - roots.T @ roots) / self.counts.sum())

    def total(self) -> Array:
        """(d, d) scatter around the mean of all, divided by the total weight, both triangles."""
        weight = self.counts.sum()
        mean = self.shifted_sums.sum(axis=0) / weight
        return self._symmetric(self.shifted_gram / weight) - self._xp.outer(mean, mean)

    def moved_to(self, shift: Array) -> FisherScatter:
        """The same sums around another shift."""
        if bool((shift == self.shift).all()):
            return self
        step = self.shift - shift
        sums = self.shifted_sums + self._xp.outer(self.counts, step)
        root_sums = self.shifted_root_sums + self._xp.outer(self.root_counts, step)
        half = self.shifted_sums.sum(axis=0) + 0.5 * self.counts.sum() * step
        gram = _rank_two_update(self.shifted_gram, half, step)
        return FisherScatter(shift, self.counts, sums, gram, self.root_counts, root_sums)

    def moved_classes(self, moves: np.ndarray) -> FisherScatter:
        """The sums of the samples x + moves[class of x], without them.

        Parameters
        ----------
        moves : (C, d) array
        """
        left = self.shifted_sums + 0.5 * self.counts[:, None] * moves
        both = left.T @ moves
        return FisherScatter(
            self.shift,
            self.counts,
            self.shifted_sums + self.counts[:, None] * moves,
            self.shifted_gram + both + both.T,
            self.root_counts,
            self.shifted_root_sums + self.root_counts[:, None] * moves,
        )

    def __add__(self, other: FisherScatter) -> FisherScatter:
        """Scatter of both sets of samples together."""
        if not isinstance(other, FisherScatter):
            return NotImplemented
        if self.shifted_sums.shape != other.shifted_sums.shape:
            raise ValueError(
                "scatters add only with equal classes and features: (n_classes, d) is "
                f"{self.shifted_sums.shape} here and {other.shifted_sums.shape} there"
            )
        other = other.moved_to(self.shift)
        return FisherScatter(
            self.shift,
            self.counts + other.counts,
            self.shifted_sums + other.shifted_sums,
            self.shifted_gram + other.shifted_gram,
            self.root_counts + other.root_counts,
            self.shifted_root_sums + other.shifted_root_sums,
        )

    def save(self, path: Any) -> None:
        """Write to an ``.npz`` file, all of it or nothing; `load` reads it."""
        arrays = {field.name: on_host(getattr(self, field.name)) for field in fields(self)}
        arrays["shifted_gram"] = np.triu(arrays["shifted_gram"])
        shared_saved.write(path, arrays)

    @classmethod
    def load(cls, path: Any) -> FisherScatter:
        """Read what `save` wrote. No pickles: the file cannot execute code.

        Raises
        ------
        ValueError
            If the file is something else or damaged, or an array is missing, of another shape or
            type, not finite, or contradicts the others.
        FileNotFoundError
            If there is no such file.
        """
        return cls(**shared_saved.read(path, [field.name for field in fields(cls)]))
