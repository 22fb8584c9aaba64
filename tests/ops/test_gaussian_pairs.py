"""gaussian_pairs: every version against the definition, and that against the integral it is for."""

import mpmath
import numpy as np
import pytest
from example_arrays import MEANS, WITHIN, C
from scipy.stats import multivariate_normal

from transfer_kernels.kernels.gaussian_pairs import reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 1), (2, 3), (5, 1), (7, 16), (9, 64), (4, 70)]  # C, p


@pytest.fixture
def gaussian_pairs(backend):
    return implementation("gaussian_pairs", backend).gaussian_pairs


def problem(n_classes, p, kind, scale=1.0):
    rng = np.random.default_rng(n_classes + p)
    means = rng.normal(size=(n_classes, p))
    if kind == "matrices":
        samples = rng.normal(size=(n_classes, 2 * p + 1, p)) * np.linspace(1.0, 0.1, p)
        covariances = scale * samples.transpose(0, 2, 1) @ samples
        below = np.tril_indices(p, -1)
        covariances[:, below[0], below[1]] = np.nan  # not to be read
    else:
        shape = (n_classes, p) if kind == "diagonals" else n_classes
        covariances = scale * rng.uniform(1e-3, 2.0, size=shape)
    return means, covariances


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["matrices", "diagonals", "multiples"])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_equals_the_definition(gaussian_pairs, shape, kind, scale):
    means, covariances = problem(*shape, kind, scale)
    means.flags.writeable = covariances.flags.writeable = False
    expected = reference.gaussian_pairs(means, covariances)
    for found, other in zip(gaussian_pairs(means, covariances), expected, strict=True):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, other, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(found, found.T)
    strided = gaussian_pairs(np.asfortranarray(means), np.repeat(covariances, 2, axis=0)[::2])
    for found, other in zip(strided, expected, strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-10, atol=1e-12)


def test_a_singular_class_is_told_alone(gaussian_pairs):
    means, covariances = problem(6, 9, "matrices")
    covariances = np.triu(covariances)
    few = np.random.default_rng(0).normal(size=(5, 9))
    covariances[2] = np.triu(few.T @ few)
    covariances[4] = 0.0
    distances, logdets = gaussian_pairs(means, covariances)
    singular = np.zeros((6, 6), dtype=bool)
    singular[[2, 4, 2, 4], [2, 4, 4, 2]] = True
    np.testing.assert_array_equal(np.isnan(distances), singular)
    np.testing.assert_array_equal(np.isneginf(logdets), singular)
    assert np.isfinite(distances[~singular]).all() and np.isfinite(logdets[~singular]).all()


def test_a_class_without_variance_is_told_alone(gaussian_pairs):
    means, covariances = problem(5, 7, "diagonals")
    covariances[[1, 3], 4] = 0.0
    distances, logdets = gaussian_pairs(means, covariances)
    told = np.argwhere(np.isnan(distances)).tolist()
    assert told == [[1, 1], [1, 3], [3, 1], [3, 3]]
    assert np.argwhere(np.isneginf(logdets)).tolist() == told


@pytest.mark.parametrize("kind", ["matrices", "diagonals"])
def test_same_bits_whatever_the_threads(gaussian_pairs, kind, monkeypatch):
    means, covariances = problem(23, 31, kind)
    expected = gaussian_pairs(means, covariances)
    for n_threads in ("1", "2", "5"):
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        for found, value in zip(gaussian_pairs(means, covariances), expected, strict=True):
            np.testing.assert_array_equal(found, value)


def test_the_definition_against_exact_arithmetic():
    means, covariances = problem(3, 6, "matrices")
    distances, logdets = reference.gaussian_pairs(means, covariances)
    whole = np.triu(covariances) + np.triu(covariances, 1).transpose(0, 2, 1)
    with mpmath.workdps(50):
        for i, j in [(0, 1), (1, 2), (2, 2)]:
            S = (mpmath.matrix(whole[i].tolist()) + mpmath.matrix(whole[j].tolist())) / 2
            apart = mpmath.matrix(means[i].tolist()) - mpmath.matrix(means[j].tolist())
            exact = (apart.T * mpmath.lu_solve(S, apart))[0]
            assert distances[i, j] == pytest.approx(float(exact), rel=1e-11)
            assert logdets[i, j] == pytest.approx(float(mpmath.log(mpmath.det(S))), rel=1e-12)


def test_the_bhattacharyya_coefficient_is_an_integral():
    """Of the root of the product of both densities, here over a fine grid of the plane."""
    means = np.array([[0.0, 0.0], [0.7, -0.4]])
    covariances = np.array([[[0.5, 0.1], [0.1, 0.3]], [[0.2, -0.05], [-0.05, 0.6]]])
    distances, logdets = reference.gaussian_pairs(means, covariances)
    excess = logdets[0, 1] - 0.5 * (logdets[0, 0] + logdets[1, 1])
    coefficient = np.exp(-distances[0, 1] / 8 - excess / 2)
    side = np.linspace(-8, 8, 801)
    points = np.stack(np.meshgrid(side, side), axis=-1)
    one, other = (
        multivariate_normal(mean, covariance).pdf(points)
        for mean, covariance in zip(means, covariances, strict=True)
    )
    assert coefficient == pytest.approx(np.sqrt(one * other).sum() * (side[1] - side[0]) ** 2)


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "gaussian_pairs": [
        (MEANS, np.stack([WITHIN * (1.0 + c) for c in range(C)])),
        (MEANS, MEANS**2 + 0.1),
        (MEANS, np.arange(1.0, 1.0 + C)),
    ],
}
REFUSED = [
    ("gaussian_pairs", (MEANS, MEANS[1:]), ValueError, r"covariances .*\(4, 13\)"),
    ("gaussian_pairs", (MEANS, np.ones((C, 13, 5))), ValueError, r"covariances .*\(4, 13, 13\)"),
    ("gaussian_pairs", (MEANS, 1.0), ValueError, r"covariances must be of shape \(4,\)"),
]


def _pairs(kind):
    means, covariances = problem(23, 31, kind)
    return lambda op: op.gaussian_pairs(means, covariances)


#: The compiled version gives the same bits for any number of threads: test_same_bits.py.
SAME_BITS = {kind: _pairs(kind) for kind in ("matrices", "diagonals")}
