"""EMMS: published values, a plain version written out, embeddings of samples, what is undefined."""

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.metrics.emms import emms, sparsemax

#: Cases whose published value means something: with more samples than the rank of the features.
CASES = (
    "balanced10 binary many_imbalanced singleton duplicate_rows constant_features large_offset "
    "relu_sparse float64 low_rank hard easy noncontiguous digits_raw breast_cancer_std wine_raw "
    "iris_std iris_raw"
).split()


def tolerance(goldens, case, key):
    """1e-8, or ten times what permutations change of the published value."""
    noise = (goldens["noise"][case].get(key) or {}).values()
    return max(1e-8, 10.0 * max((change for change in noise if change is not None), default=0.0))


@pytest.mark.parametrize("case", CASES)
def test_published_value(goldens, backend, case):
    arrays = goldens["arrays"](case)
    X, y, E = arrays["X"], arrays["y"], arrays["emb"]
    published = pytest.approx(goldens["scores"][case]["emms"], rel=tolerance(goldens, case, "emms"))
    found = emms(X, y, E[np.unique(y)], backend=backend)
    assert found == published
    assert emms(X, y, E[y], backend=backend) == pytest.approx(found, rel=1e-9)


@pytest.mark.parametrize("case", ["regression1", "regression3"])
def test_published_value_for_targets(goldens, backend, case):
    arrays = goldens["arrays"](case)
    X, Y = arrays["X"], arrays["Y"]
    key = "emms_regression_k1"
    found = emms(X, Y, Y.reshape(len(Y), -1, 1), backend=backend)
    expected = goldens["scores"][case][key]
    assert found == pytest.approx(expected, rel=tolerance(goldens, case, key))


def plain(X, Y):
    """The published steps in float64, for embeddings (n, D, K) of the samples."""
    n, width, k = Y.shape
    X = np.asarray(X, np.float64)
    X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-8)
    Y = (Y - Y.mean(axis=0)) / (Y.std(axis=0) + 1e-8)
    fit = X @ np.linalg.lstsq(X, Y.mean(axis=2), rcond=None)[0]
    weights = np.linalg.lstsq(Y.reshape(n * width, k), fit.ravel(), rcond=None)[0]
    return -((fit - Y @ sparsemax(weights)) ** 2).sum() / n * width


@pytest.mark.parametrize("shape", [(80, 9, 4, 6, 3), (60, 5, 3, 1, 1), (90, 30, 7, 11, 5)], ids=str)
def test_equals_the_published_steps(backend, shape):
    n, d, n_classes, width, k = shape
    X, y = make_problem(n, d, n_classes, dtype=np.float64)
    rng = np.random.default_rng(d)
    E = rng.normal(size=(n_classes, width, k)) + rng.normal(size=(n_classes, width, 1))
    found = emms(X, y, E, backend=backend)
    assert found == pytest.approx(plain(X, E[y]), rel=1e-9)
    samples = rng.normal(size=(n, width, k)) + X[:, :1, None]
    assert emms(X, y, samples, backend=backend) == pytest.approx(plain(X, samples), rel=1e-9)


def test_one_of_the_embeddings_may_get_no_weight():
    X, y = make_problem(120, 8, 5, dtype=np.float64)
    E = np.random.default_rng(0).normal(size=(5, 4, 3))
    E[:, :, 2] = -E[:, :, 0]
    assert emms(X, y, E) == pytest.approx(plain(X, E[y]), rel=1e-9)


def test_features_enter_by_the_space_that_they_span(backend):
    X, y = make_problem(150, 12, 5, dtype=np.float64)
    rng = np.random.default_rng(1)
    E = rng.normal(size=(5, 7, 3))
    expected = emms(X, y, E, backend=backend)
    mixed = X @ rng.normal(size=(12, 12)) + 100.0
    assert emms(mixed, y, E, backend=backend) == pytest.approx(expected, rel=1e-9)
    dependent = np.hstack([X, X @ rng.normal(size=(12, 5)), np.full((150, 2), 3.0)])
    assert emms(dependent, y, E, backend=backend) == pytest.approx(expected, rel=1e-9)
    for scale in (1e-300, 1e300):
        assert emms(scale * X, y, E, backend=backend) == pytest.approx(expected, rel=1e-9)


def test_wide_features_of_low_rank(backend):
    """n < d, and yet more samples than the rank."""
    X, y = make_problem(60, 10, 4, dtype=np.float64)
    E = np.random.default_rng(2).normal(size=(4, 5, 3))
    wide = X @ np.random.default_rng(3).normal(size=(10, 90))
    for embeddings in (E, E[y]):
        expected = emms(X, y, embeddings, backend=backend)
        assert emms(wide, y, embeddings, backend=backend) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("shape", [(40, 40), (40, 39), (40, 200)], ids=str)
def test_features_that_fit_any_labels(backend, shape):
    X, y = make_problem(*shape, 4, dtype=np.float64)
    E = np.random.default_rng(4).normal(size=(4, 5, 3))
    for embeddings in (E, E[y]):
        with pytest.raises(ValueError, match=r"undefined for 40 samples.*rank 39.*n > rank \+ 1"):
            emms(X, y, embeddings, backend=backend)


def test_the_published_perfect_fit_is_refused(goldens, backend):
    arrays = goldens["arrays"]("wide")
    assert abs(goldens["scores"]["wide"]["emms"]) < 1e-27
    with pytest.raises(ValueError, match="they fit any labels"):
        emms(arrays["X"], arrays["y"], arrays["emb"], backend=backend)


def test_features_that_do_not_vary(backend):
    y = np.arange(12) % 3
    E = np.random.default_rng(5).normal(size=(3, 4, 2))
    with pytest.warns(tk.UninformativeScoreWarning, match="do not vary"):
        found = emms(np.ones((12, 4)), y, E, backend=backend)
    with np.errstate(invalid="ignore"):
        assert found == pytest.approx(plain(np.ones((12, 4)), E[y]), rel=1e-9)


def test_labels_left_out():
    X, y = make_problem(100, 8, 4, dtype=np.float64)
    rng = np.random.default_rng(6)
    marked = np.where(np.arange(100) < 20, -1, y)
    for embeddings in (rng.normal(size=(4, 5, 3)), rng.normal(size=(100, 5, 3))):
        rest = embeddings[20:] if len(embeddings) == 100 else embeddings
        expected = emms(X[20:], y[20:], rest)
        assert emms(X, marked, embeddings, ignore_label=-1) == pytest.approx(expected, rel=1e-12)


def test_embeddings_that_do_not_fit():
    X, y = make_problem(60, 5, 3)
    E = np.random.default_rng(7).normal(size=(3, 4, 2))
    with pytest.raises(ValueError, match="each of the 3 classes.*each of the 60 samples"):
        emms(X, y, E[:2])
    with pytest.raises(ValueError, match=r"label_embeddings must be of shape \(C, D, K\)"):
        emms(X, y, E[0])
    with pytest.raises(TypeError, match="label_embeddings has dtype"):
        emms(X, y, E.astype(str))
    E[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="label_embeddings .* contain NaN or infinity"):
        emms(X, y, E)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.3], [1.0]),
        ([0.0, 0.0], [0.5, 0.5]),
        ([3.0, 1.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.2, 0.6, -5.0], [0.3, 0.7, 0.0]),
    ],
)
def test_sparsemax(values, expected):
    np.testing.assert_allclose(sparsemax(np.array(values)), expected, rtol=1e-15)
