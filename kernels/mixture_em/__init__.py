"""Contract of `mixture_em`: k-means, and a mixture of Gaussians that starts from its clusters.

    kmeans(Z, n_clusters, seed) -> labels
    gaussian_mixture(Z, labels, n_components, reg=1e-6, tol=1e-3, max_iter=100) -> Responsibilities

``Z`` is (n, p) float64; n >= n_clusters. Both are deterministic, and give what scikit-learn's
``KMeans(n_clusters, n_init=1, random_state=seed)`` and, from its labels, ``GaussianMixture(
n_components, random_state=seed)`` give in float64: the same labels and rounds, but for draws and
distances that are tied to rounding.

`kmeans`
    labels (n,) int64 in [0, n_clusters). Seeds by greedy k-means++ (Arthur and Vassilvitskii, 2007)
    with the draws of ``numpy.random.RandomState(seed)``: the first by ``choice(n)``, then
    2 + int(ln n_clusters) candidates each by ``uniform``, of which the one that leaves the least
    potential is taken. Lloyd's rounds follow until the labels repeat, or the centres' squared
    shifts sum to `SHIFT_TOLERANCE` of the mean variance or less (then the labels are taken once
    more), at most `LLOYD_ROUNDS`. A cluster that has lost all samples takes the one that is
    farthest from its centre.
`gaussian_mixture`
    Full covariances, from responsibilities 1 for ``labels``. M-step: with N_k the sum of a
    component's responsibilities plus 10 eps, weights N_k / sum of N, means and covariances over
    N_k, ``reg`` added to the variances. E-step: responsibilities, and the mean of ln p(z) over the
    samples. Rounds of an E- and an M-step until that mean changes by less than ``tol``, at most
    ``max_iter``; then a last E-step.
    What is less than exp(-`NEGLIGIBLE`) of a sample's largest responsibility is dropped.

Raises ValueError where a covariance is not positive definite to working precision. Memory beyond Z:
n (2 + ln n_clusters) distances, one covariance a thread, and the responsibilities that are kept.
Bits are those of BLAS and LAPACK, and may change with their number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Share of the mean variance of the columns.
SHIFT_TOLERANCE = 1e-4
LLOYD_ROUNDS = 300
#: Responsibilities below e to minus this, of a sample's largest, are none.
NEGLIGIBLE = 100.0


@dataclass(frozen=True)
class Responsibilities:
    """Probability of each component for each sample, in CSR form.

    Parameters
    ----------
    indptr : (n + 1,) int64 array
        Where each sample's entries start, and the last one's end.
    component : int64 array
        Component of each entry, ascending within a sample.
    weight : float64 array
        Probability; those of a sample sum to 1.
    log_likelihood : float
        Mean over the samples of the logarithm of the mixture's density, in nats.
    n_iter : int
        Rounds of an E- and an M-step.
    """

    indptr: Any
    component: Any
    weight: Any
    log_likelihood: float
    n_iter: int


def singular_component(k: int, reg: float) -> ValueError:
    """The error where a component's covariance has no Cholesky factor."""
    return ValueError(
        f"the covariance of component {k} is not positive definite to working precision; use fewer "
        f"components, or a reg above {reg:g}"
    )
