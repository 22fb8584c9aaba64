"""Mixtures of Gaussians on the features' principal axes: the source classes of NLEEP."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.array_namespace import as_float64, beside, is_tensor, on_host
from ..text.quoting import shown
from .posteriors import LabelledPosteriors

if TYPE_CHECKING:
    from .problem import Problem

#: Share of the variance that the principal axes hold.
VARIANCE = 0.8
SEEDS = (0, 1, 2)
#: `numpy.random.RandomState` takes seeds below this.
SEED_LIMIT = 2**32


class Mixtures:
    """The mixtures of a problem: metrics that ask for the same one share it.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._scores: dict[float | None, Any] = {}
        self._posteriors: dict[tuple, LabelledPosteriors] = {}

    def scores(self, variance: float | None) -> Any:
        """(n, p) float64 coordinates along the fewest axes whose share of the variance exceeds it.

        The features themselves where it is None; p = 0 where they do not vary.
        """
        if variance not in self._scores:
            if variance is None:
                found = as_float64(self._problem.features)
            else:
                found = _principal_scores(self._problem, variance)
            self._scores[variance] = found
        return self._scores[variance]

    def posteriors(self, n_components: int, variance: float | None, seed: int) -> Any:
        """Probability of each component for each sample, with the classes.

        Parameters
        ----------
        n_components : int
        variance : float or None
            See `scores`.
        seed : int
            Of k-means, whose clusters the mixture starts from.

        Raises
        ------
        ValueError
            If there are fewer samples than components, or a covariance is singular.
        """
        key = n_components, variance, seed
        if key not in self._posteriors:
            problem, Z = self._problem, self.scores(variance)
            if n_components > len(Z):
                raise ValueError(
                    f"a mixture of {n_components} components needs as many samples, but there are "
                    f"{len(Z)}; use more samples or fewer components"
                )
            labels = problem.ops.kmeans(Z, n_components, seed)
            found = problem.ops.gaussian_mixture(Z, labels, n_components)
            theta = _as_theta(found, n_components)
            self._posteriors[key] = LabelledPosteriors(theta, problem.host_codes, problem.ops)
        return self._posteriors[key]


def _as_theta(found: Any, n_components: int) -> Any:
    """(n, K) matrix of responsibilities: in CSR form on the host, dense on a GPU."""
    shape = len(found.indptr) - 1, n_components
    if not is_tensor(found.weight):
        from scipy.sparse import csr_array

        return csr_array((found.weight, found.component, found.indptr), shape=shape)
    rows = np.repeat(np.arange(shape[0]), np.diff(on_host(found.indptr)))
    theta = found.weight.new_zeros(shape)
    theta[beside(theta, rows), found.component] = found.weight
    return theta


def _principal_scores(problem: Problem, variance: float) -> Any:
    values, axes = problem.ops.principal_axes(problem.centred_gram, None, variance)
    if not float(values[0]) > 0.0:
        return as_float64(problem.features)[:, :0]
    if problem.n_samples < problem.n_features:
        return axes * values**0.5
    return problem.ops.principal_scores(problem.features, problem.mean, axes)


def as_seeds(seeds: Any) -> tuple[int, ...]:
    """Seeds as a tuple of integers, of one number or several.

    Raises
    ------
    TypeError
        If one is no integer.
    ValueError
        If there is none, or one is negative or beyond 32 bits.
    """
    try:
        values = [seeds] if isinstance(seeds, (int, np.integer)) else list(seeds)
        found = tuple(operator.index(seed) for seed in values)
        if any(isinstance(seed, bool) for seed in values):
            raise TypeError
    except TypeError:
        raise TypeError(f"seeds must be an integer or several, not {shown(seeds)}") from None
    if not found:
        raise ValueError("seeds is empty; name at least one, such as seeds=(0, 1, 2)")
    if not all(0 <= seed < SEED_LIMIT for seed in found):
        raise ValueError(f"seeds={shown(seeds)} is out of range: they lie in [0, 2**32)")
    return found
