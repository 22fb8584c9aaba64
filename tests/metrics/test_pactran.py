"""PACTran on posteriors against published values and its formula in logarithms."""

import numpy as np
import pytest
from conftest import GOLDENS
from scipy import sparse
from scipy.special import digamma, gammaln, logsumexp

import transfer_kernels as tk

CASES = sorted(path.stem for path in GOLDENS.glob("*.npz"))
PRIORS = {"pactran_dirichlet_modelspider": "dirichlet", "pactran_gamma_modelspider": "gamma"}


def plain(theta, y, prior, alpha=1.0):
    """The bound sample by sample, everything in logarithms, (n, C, Z) once a round."""
    n_classes = int(y.max()) + 1
    own = np.eye(n_classes)[y]
    base = (alpha * own.mean(axis=0) + 1e-10)[:, None]
    log_s, q = np.log(theta + 1e-10), theta
    for _ in range(10):
        weights = base + np.einsum("iy,iz->yz", own, q)
        tilt = digamma(weights) - (digamma(weights.sum(axis=0)) if prior == "dirichlet" else 0.0)
        log_q = log_s + own @ tilt
        log_q -= logsumexp(log_q, axis=1, keepdims=True)
        q = np.exp(log_q)
    bound = (q * (log_q - log_s)).sum()
    if prior == "dirichlet":
        bound += (gammaln(base).sum() - gammaln(base.sum())) * theta.shape[1]
        bound -= (gammaln(weights).sum(axis=0) - gammaln(weights.sum(axis=0))).sum()
        return -bound / own.size
    bound += (gammaln(base) - gammaln(weights)).sum()
    bound += (np.log(theta @ weights.sum(axis=0)) - 1.0).sum()
    return -(bound / own.size + 1.0)


def as_published(score, prior, y):
    """The published cost: of classes that do not occur too, which only the divisor tells of."""
    share = len(np.unique(y)) / (int(y.max()) + 1)
    return -score * share if prior == "dirichlet" else (-score - 1.0) * share + 1.0


def test_published_values(goldens, backend):
    checked = 0
    for case in CASES:
        arrays = goldens["arrays"](case)
        for key, prior in PRIORS.items():
            published = goldens["scores"][case].get(key)
            if published is not None:
                ours = tk.pactran(arrays["theta"], arrays["y"], prior, backend=backend)
                # What a class that does not occur adds by its 1e-10 is left out here.
                tolerance = 1e-9 if case == "noncontiguous" else 1e-13
                found = as_published(ours, prior, arrays["y"])
                assert found == pytest.approx(published, rel=tolerance), (case, key)
                checked += 1
    assert checked == 40


@pytest.mark.parametrize("prior", ["dirichlet", "gamma"])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 50.0])
def test_the_formula(backend, prior, alpha):
    rng = np.random.default_rng(11)
    y = np.arange(90) % 7
    theta = rng.dirichlet(np.full(13, 0.3), size=90)
    expected = plain(theta, y, prior, alpha)
    for given in (theta, sparse.csr_array(theta)):
        found = tk.pactran(given, y, prior, alpha, backend=backend)
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("prior", ["dirichlet", "gamma"])
def test_a_class_of_one_sample_among_many_source_classes(backend, prior):
    """Its digammas are near -1000, whose exponentials would all vanish."""
    y = np.append(np.arange(2000) % 2, 2)
    theta = np.full((2001, 1500), 1 / 1500)
    found = tk.pactran(theta, y, prior, backend=backend)
    assert found == pytest.approx(plain(theta, y, prior), rel=1e-10)


@pytest.mark.parametrize("prior", ["dirichlet", "gamma"])
def test_source_classes_without_mass(backend, prior):
    rng = np.random.default_rng(2)
    y = np.arange(60) % 3
    theta = rng.dirichlet(np.ones(8), size=60)
    theta[:, [2, 5]] = 0.0
    theta /= theta.sum(axis=1, keepdims=True)
    found = tk.pactran(theta, y, prior, backend=backend)
    assert found == pytest.approx(plain(theta, y, prior), rel=1e-12)


def test_what_is_no_option():
    theta, y = np.eye(2)[[0, 1, 0, 1]], [0, 1, 1, 0]
    with pytest.raises(
        ValueError, match="prior='gauss' is unknown; choose one of dirichlet, gamma"
    ):
        tk.pactran(theta, y, "gauss")
    for alpha in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="alpha=.* is out of range: it must be positive"):
            tk.pactran(theta, y, alpha=alpha)
