"""mixture_em: every version against the definition, and that against scikit-learn."""

import math

import numpy as np
import pytest

from transfer_kernels import ops
from transfer_kernels.kernels.mixture_em import NEGLIGIBLE, lapack_sparse_em, reference
from transfer_kernels.ops.backends import implementation

#: n, p, K: more axes than samples a component, and fewer; more axes than the bound sees; one each.
SHAPES = [(150, 40, 15), (200, 6, 5), (300, 36, 4), (60, 70, 3), (5, 2, 5), (7, 3, 1), (40, 1, 3)]


@pytest.fixture
def version(backend):
    return implementation("mixture_em", backend)


def samples(n, p, n_groups, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(n_groups, p)) * 2.0
    return centres[rng.integers(0, n_groups, n)] + rng.normal(size=(n, p)) + offset


def dense(found, n_components):
    rows = np.repeat(np.arange(len(found.indptr) - 1), np.diff(found.indptr))
    table = np.zeros((len(found.indptr) - 1, n_components))
    table[rows, found.component] = found.weight
    return table


def assert_same(found, expected, n_components):
    assert found.n_iter == expected.n_iter
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-10)
    ours, theirs = dense(found, n_components), dense(expected, n_components)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(ours.sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_definition(version, shape, seed):
    n, p, n_components = shape
    Z = samples(n, p, n_components, seed)
    for layout in (Z, np.asfortranarray(Z)):
        layout.flags.writeable = False
        labels = version.kmeans(layout, n_components, seed)
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(labels, reference.kmeans(Z, n_components, seed))
        found = version.gaussian_mixture(layout, labels, n_components)
        assert_same(found, reference.gaussian_mixture(Z, labels, n_components), n_components)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_definition_is_scikit_learn_s(shape, seed):
    pytest.importorskip("sklearn")
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture

    n, p, n_components = shape
    Z = samples(n, p, n_components, seed)
    theirs = KMeans(n_components, n_init=1, random_state=np.random.RandomState(seed)).fit(Z)
    labels = reference.kmeans(Z, n_components, seed)
    np.testing.assert_array_equal(labels, theirs.labels_)
    mixture = GaussianMixture(n_components, random_state=seed).fit(Z)
    found = reference.gaussian_mixture(Z, labels, n_components)
    assert found.n_iter == mixture.n_iter_
    assert found.log_likelihood == pytest.approx(mixture.score(Z), rel=1e-9)
    np.testing.assert_allclose(
        dense(found, n_components), mixture.predict_proba(Z), rtol=1e-9, atol=1e-9
    )


def test_few_distinct_samples(version):
    """Clusters lose all their samples, and take others'."""
    Z = np.repeat(samples(30, 4, 6), 5, axis=0)
    labels = version.kmeans(Z, 29, 3)
    np.testing.assert_array_equal(labels, reference.kmeans(Z, 29, 3))
    assert len(np.unique(labels)) == 29


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_samples(version, value):
    Z = np.full((12, 3), value)
    assert not version.kmeans(Z, 3, 0).any()
    found = version.gaussian_mixture(Z, np.zeros(12, dtype=np.int64), 3)
    np.testing.assert_allclose(dense(found, 3)[:, 0], 1.0)


@pytest.mark.parametrize("distance", [2.0, 10.0])
def test_negligible_responsibilities_are_dropped_and_no_others(version, distance):
    """Near pairs of components stay soft, far ones have no entry."""
    rng = np.random.default_rng(5)
    centres = np.repeat(np.arange(4) * 60.0, 2) + np.tile([0.0, distance], 4)
    labels = np.arange(400) % 8
    Z = rng.normal(size=(400, 3))
    Z[:, 0] += centres[labels]
    found = version.gaussian_mixture(Z, labels, 8)
    expected = reference.gaussian_mixture(Z, labels, 8)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.component, expected.component)
    # atol: of what is small beside 1, digits are lost with the squares of distances.
    np.testing.assert_allclose(found.weight, expected.weight, rtol=1e-7, atol=1e-14)
    assert 600 < len(found.weight) <= 800
    assert math.exp(-NEGLIGIBLE) <= found.weight.min() < (1e-3 if distance < 5.0 else 1e-25)


def test_what_is_on_other_axes_than_the_bound_s_counts(version):
    """Components that differ beyond the leading axes alone are told apart in full."""
    rng = np.random.default_rng(6)
    p = lapack_sparse_em.LEADING + 8
    labels = np.arange(450) % 3
    Z = rng.normal(size=(450, p))
    Z[:, -1] += 4.0 * labels
    found = version.gaussian_mixture(Z, labels, 3)
    assert_same(found, reference.gaussian_mixture(Z, labels, 3), 3)


def test_rounds_end_when_they_are_told(version):
    Z = samples(200, 5, 3, seed=8)
    labels = version.kmeans(Z, 9, 0)
    for max_iter in (1, 2, 4):
        found = version.gaussian_mixture(Z, labels, 9, 1e-6, 1e-12, max_iter)
        assert found.n_iter == max_iter
        assert_same(found, reference.gaussian_mixture(Z, labels, 9, 1e-6, 1e-12, max_iter), 9)


def test_a_singular_covariance_is_named(version):
    Z = 1e9 * samples(60, 3, 2)
    Z[:, 2] = Z[:, 1]
    labels = np.zeros(60, dtype=np.int64)
    with pytest.raises(ValueError, match="covariance of component 0 is not positive definite"):
        version.gaussian_mixture(Z, labels, 1)


def test_the_public_ops_check():
    Z = samples(20, 3, 2)
    with pytest.raises(ValueError, match="n_clusters=21 is out of range: it must be at most"):
        ops.kmeans(Z, 21, 0)
    with pytest.raises(TypeError, match="seed must be an integer, not 0.5"):
        ops.kmeans(Z, 2, 0.5)
    integers = np.rint(10.0 * Z).astype(np.int16)
    np.testing.assert_array_equal(
        ops.kmeans(integers, 4, 0), ops.kmeans(integers.astype(np.float64), 4, 0)
    )


_Z = samples(80, 6, 4)
_LABELS = np.arange(80) % 4
#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "kmeans": [(_Z, 7, 0), (_Z, 80, 3)],
    "gaussian_mixture": [(_Z, _LABELS, 4, 1e-6, 1e-3, 100), (_Z, _LABELS, 4, 1e-2, 0.0, 3)],
}
REFUSED = [
    ("kmeans", (_Z, 81, 0), ValueError, "n_clusters=81 is out of range: it must be at most .* 80"),
    ("kmeans", (_Z, 7, 0.5), TypeError, "seed must be an integer, not 0.5"),
    ("kmeans", (_Z, 7, -1), ValueError, "seed=-1 is out of range"),
    ("gaussian_mixture", (_Z, _LABELS, 81), ValueError, "n_components=81 is out of range"),
    ("gaussian_mixture", (_Z, _LABELS, 3), ValueError, r"codes must lie in \[0, 3\)"),
    ("gaussian_mixture", (_Z, _LABELS, 4, -1.0), ValueError, "reg=-1.0 is out of range"),
    ("gaussian_mixture", (_Z, _LABELS, 4, 1e-6, 0.1, 0), ValueError, "max_iter=0 is out of range"),
]


def _fitted(shape):
    Z = samples(*shape)
    labels = reference.kmeans(Z, shape[2], 0)

    def call(op):
        found = op.gaussian_mixture(Z, labels, shape[2])
        return found.indptr, found.component, found.weight, found.log_likelihood

    return call


SAME_BITS = {"many axes": _fitted((200, 45, 12)), "few axes": _fitted((300, 4, 6))}
