"""rsa and dds: what they are by all pairs of samples, their edge cases, and what they refuse."""

import numpy as np
import pytest
from conftest import make_problem
from scipy.stats import spearmanr
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

import transfer_kernels as tk

#: n, features, reference features.
SHAPES = [(60, 12, 5), (40, 90, 7), (40, 7, 90), (30, 100, 200), (150, 33, 40)]


def pair(n, d, m, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 3))
    X, R = (common @ rng.normal(size=(3, k)) + rng.normal(size=(n, k)) for k in (d, m))
    X[:, 0] = 2.5  # a constant column
    return X.astype(dtype), R.astype(dtype)


def by_pairs_of_samples(X, R):
    """RSA as PARC's authors have it."""
    X, R = (StandardScaler().fit_transform(np.asarray(A, np.float64)) for A in (X, R))
    pairs = np.triu_indices(len(X), 1)
    return 100.0 * spearmanr((1 - np.corrcoef(X))[pairs], (1 - np.corrcoef(R))[pairs])[0]


def centred(kernel):
    """Without its diagonal, centred for the unbiased estimate."""
    n = len(kernel)
    kernel = kernel * (1.0 - np.eye(n))
    means = kernel.sum(axis=0) / (n - 2)
    means -= means.sum() / (2 * (n - 1))
    return (kernel - means[:, None] - means) * (1.0 - np.eye(n))


def by_kernels(X, R):
    """DDS as its authors have it."""
    X, R = (StandardScaler().fit_transform(np.asarray(A, np.float64)) for A in (X, R))
    K, L = (centred(1.0 - cosine_similarity(A)) for A in (X, R))
    return 100.0 * (K * L).sum() / (np.linalg.norm(K) * np.linalg.norm(L))


PUBLISHED = {tk.rsa: by_pairs_of_samples, tk.dds: by_kernels}


@pytest.mark.parametrize("metric", PUBLISHED)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_published_way(backend, metric, shape):
    X, R = pair(*shape)
    assert metric(X, reference=R, backend=backend) == pytest.approx(
        PUBLISHED[metric](X, R), rel=1e-9
    )


@pytest.mark.parametrize("metric", PUBLISHED)
def test_a_model_is_like_itself(backend, metric):
    X, _ = pair(80, 20, 5)
    assert metric(X, reference=X, backend=backend) == pytest.approx(100.0, rel=1e-12)
    wide, _ = pair(20, 80, 5)
    assert metric(wide, reference=wide, backend=backend) == pytest.approx(100.0, rel=1e-12)


@pytest.mark.parametrize("metric", PUBLISHED)
@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1e30, 1e200])
def test_units_and_offsets_do_not_matter(backend, metric, unit):
    X, R = pair(60, 12, 9, dtype=np.float64)
    expected = metric(X, reference=R, backend=backend)
    assert metric(unit * X, reference=R, backend=backend) == pytest.approx(expected, rel=1e-6)
    assert metric(X, reference=unit * (R + 1e3), backend=backend) == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("metric", PUBLISHED)
def test_of_any_kind(backend, metric):
    X, R = pair(50, 6, 9)
    halves, integers = X.astype(np.float16), np.rint(10 * R).astype(int)
    found = metric(halves[::-1], reference=np.asfortranarray(integers[::-1]), backend=backend)
    assert found == pytest.approx(PUBLISHED[metric](halves, integers), rel=1e-9)
    lists = metric(halves[::-1].tolist(), reference=integers[::-1].tolist(), backend=backend)
    assert lists == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("metric", PUBLISHED)
def test_features_that_do_not_vary_say_nothing(backend, metric):
    X, _ = make_problem(40, 6, 3)
    with pytest.warns(tk.UninformativeScoreWarning, match="is undefined here"):
        assert np.isnan(metric(X, reference=np.ones((40, 3)), backend=backend))


@pytest.mark.parametrize("metric", PUBLISHED)
def test_what_they_refuse(backend, metric):
    X, R = pair(40, 6, 3)
    with pytest.raises(ValueError, match=r"same length: 40 samples, but reference has 39"):
        metric(X, reference=R[1:], backend=backend)
    with pytest.raises(ValueError, match="reference must be two-dimensional"):
        metric(X, reference=R[:, 0], backend=backend)
    with pytest.raises(TypeError, match="reference has dtype <U"):
        metric(X, reference=R.astype(str), backend=backend)
    broken = R.copy()
    broken[7, 2] = np.inf
    with pytest.raises(ValueError, match="reference .* contains inf first at row 7, column 2"):
        metric(X, reference=broken, backend=backend)
    with pytest.raises(ValueError, match="features .* contains inf first at row 7, column 2"):
        metric(broken, reference=X, backend=backend)


def test_dds_needs_four_samples(backend):
    X, R = pair(3, 6, 3)
    with pytest.raises(ValueError, match="features of 3 samples given; DDS needs at least 4"):
        tk.dds(X, reference=R, backend=backend)
