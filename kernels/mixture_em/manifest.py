"""What `mixture_em` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..array_namespace import Array, on_host
from ..declarations import Codes, Count, Doubles, Features, Number, declare
from . import Responsibilities


def _require_samples(checked: Mapping[str, Any], name: str) -> None:
    if checked[name] > len(checked["Z"]):
        raise ValueError(
            f"{name}={checked[name]} is out of range: it must be at most the number of samples, "
            f"{len(checked['Z'])}"
        )


def _check_clusters(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    _require_samples(checked, "n_clusters")
    if isinstance(given["seed"], bool) or int(given["seed"]) != given["seed"]:
        raise TypeError(f"seed must be an integer, not {given['seed']!r}")
    checked["seed"] = int(given["seed"])


def _check_components(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    _require_samples(checked, "n_components")


def _labels(found: Array) -> Array:
    """The clusters are float64."""
    return found


@declare(
    Doubles("n"),
    Z=Features(double=True),
    n_clusters=Count(),
    seed=Number(0.0, 2.0**32 - 1.0),
    check=_check_clusters,
    gives=_labels,
)
def kmeans(Z: Array, n_clusters: int, seed: int, *, backend: str | None = None) -> Array:
    """Clusters of samples by Lloyd's rounds from greedy k-means++ seeds.

    Parameters
    ----------
    Z : (n, p) array
        Samples; they are taken in float64.
    n_clusters : int
        Number of clusters, at most n.
    seed : int
        Of the draws, as `numpy.random.RandomState` takes it.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (n,) int64 array
        Cluster of each sample, as scikit-learn's ``KMeans(n_clusters, n_init=1,
        random_state=seed)`` in float64 has it.

    Raises
    ------
    TypeError
        If Z holds no real numbers, or n_clusters or the seed is no integer.
    ValueError
        If Z is not two-dimensional, n_clusters is not in [1, n], the seed not in [0, 2**32), or the
        backend is not available.
    """


def _dense(found: Responsibilities) -> tuple[Array, float, float]:
    """Responsibilities as a dense matrix, the log-likelihood, and the number of rounds."""
    indptr, component, weight = map(on_host, (found.indptr, found.component, found.weight))
    table = np.zeros((len(indptr) - 1, int(component.max()) + 1))
    table[np.repeat(np.arange(len(table)), np.diff(indptr)), component] = weight
    return table, found.log_likelihood, float(found.n_iter)


@declare(
    Doubles("n", "n_components"),
    Doubles(),
    Doubles(),
    Z=Features(double=True),
    labels=Codes("n_components"),
    n_components=Count(),
    reg=Number(0.0),
    tol=Number(0.0),
    max_iter=Count(),
    check=_check_components,
    gives=_dense,
)
def gaussian_mixture(
    Z: Array,
    labels: Array,
    n_components: int,
    reg: float = 1e-6,
    tol: float = 1e-3,
    max_iter: int = 100,
    *,
    backend: str | None = None,
) -> Responsibilities:
    """Mixture of Gaussians with full covariances by EM, from clusters of the samples.

    Parameters
    ----------
    Z : (n, p) array
        Samples; they are taken in float64.
    labels : (n,) integer array
        Component in [0, n_components) that each sample starts in.
    n_components : int
        Number of components, at most n.
    reg : float, default 1e-6
        Added to the variances; not negative.
    tol : float, default 1e-3
        Change of the mean log-likelihood, in nats, below which EM ends.
    max_iter : int, default 100
        Most rounds.
    backend : str, optional
        Force a backend.

    Returns
    -------
    Responsibilities
        Probability of each component for each sample, in CSR form, without those below e^-100 of a
        sample's largest; ``.log_likelihood`` and ``.n_iter``. As scikit-learn's ``GaussianMixture``
        in float64 has them.

    Raises
    ------
    TypeError
        If Z holds no real numbers, or the labels, n_components or max_iter are no integers.
    ValueError
        If the shapes do not fit, a label or an option is out of range, a covariance is not positive
        definite to working precision, or the backend is not available.
    """
