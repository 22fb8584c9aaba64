"""Features of any size, PARC's components that are noise, and the estimators' common methods."""

import math
import warnings

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.metrics.fda import fda_score

X, y = make_problem(120, 20, 4, dtype=np.float64)
EXPONENTS = [-1000, -560, -166, -70, 70, 166, 560, 1000]


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_scale_free_scores(exponent, shape, backend):
    features, labels = (X, y) if shape == "tall" else (X[:18], y[:18])
    scaled = np.ldexp(features, exponent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        for metric in (fda_score, tk.parc, lambda *a, **k: tk.parc(*a, n_components=6, **k)):
            expected = metric(features, labels, backend=backend)
            assert metric(scaled, labels, backend=backend) == pytest.approx(expected, rel=1e-9)
        # Beyond the ordinary, the shrinkage is 1 or at its floor: SFDA does not change any more.
        limit = np.ldexp(features, math.copysign(30, exponent).__int__())
        expected = tk.sfda(limit, labels, backend=backend)
        assert tk.sfda(scaled, labels, backend=backend) == pytest.approx(expected, rel=1e-6)


def test_sfda_of_large_features_predicts():
    model = tk.SFDA().fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        large = tk.SFDA().fit(np.ldexp(X, 166), y)
    assert large.score(np.ldexp(X, 166), y) >= model.score(X, y) - 0.05
    np.testing.assert_allclose(large.means_, np.ldexp(model.means_, 166))


def test_callers_that_trap_floating_point_errors(backend):
    for factor in (1.0, 100.0, 1e-50, 1e50):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
            for metric in (tk.sfda, tk.parc, fda_score):
                expected = metric(factor * X, y, backend=backend)
                with np.errstate(all="raise"):
                    assert metric(factor * X, y, backend=backend) == expected


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(150, 64), (60, 100)])
def test_components_at_rounding_level_are_cut(scale, dtype, shape, backend):
    rng = np.random.default_rng(1)
    left = rng.normal(size=(shape[0], 6)) + np.arange(6) * (np.arange(shape[0]) % 3)[:, None]
    features = (scale * (left @ rng.normal(size=(6, shape[1])) + 2.0)).astype(dtype)
    labels = np.arange(shape[0]) % 3
    expected = tk.parc(features, labels, n_components=6, backend="reference")
    with pytest.warns(tk.UninformativeScoreWarning, match="32 components.* in 6 only"):
        value = tk.parc(features, labels, n_components=32, backend=backend)
    assert value == pytest.approx(expected, abs=0.02)
    assert type(value) is float


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8 / 3])
def test_constant_features_have_no_parc(value, backend):
    with pytest.warns(tk.UninformativeScoreWarning, match="features are constant"):
        assert np.isnan(tk.parc(np.full((60, 40), value), y[:60], 32, backend=backend))


def test_ensemble_of_wide_features(backend):
    rng = np.random.default_rng(0)
    zoo = {name: rng.normal(size=(60, 200)) for name in "ab"}
    with pytest.warns(tk.UninformativeScoreWarning, match="a, b: there are no more samples"):
        found = tk.sfda_ensemble(zoo, y[:60], 2, backend=backend)
    assert all(0.99 < score <= 1.0 for score in found.single_scores.values())


def test_warnings_point_to_the_caller():
    calls = [
        lambda: tk.sfda(X[:15], y[:15]),
        lambda: tk.SFDA().fit(X[:15], y[:15]),
        lambda: tk.score(X[:15], y[:15], "sfda"),
        lambda: tk.rank({"a": X[:15]}, y[:15], "sfda"),
        lambda: tk.PARC().fit(np.ones((20, 3)), y[:20]),
        lambda: fda_score(X[:15], y[:15]),
    ]
    for call in calls:
        with pytest.warns(tk.UninformativeScoreWarning) as caught:
            call()
        assert caught[0].filename == __file__


def test_numbers_of_jobs():
    for n_jobs in (-1, np.int64(1)):
        assert len(tk.rank({"a": X}, y, "logme", n_jobs=n_jobs)) == 1
    for n_jobs in (0, -2):
        with pytest.raises(ValueError, match="or -1 for all"):
            tk.rank({"a": X}, y, "logme", n_jobs=n_jobs)


def test_estimators_in_cross_validation():
    selection = pytest.importorskip("sklearn.model_selection")
    metrics = pytest.importorskip("sklearn.metrics")
    for model in (tk.SFDA(), tk.LogME(), tk.PARC(), tk.LogME(regression=True)):
        assert np.isfinite(selection.cross_val_score(model, X, y, cv=3)).all()
    model = tk.SFDA().fit(X, y)
    weight = np.arange(120) / 60
    expected = metrics.accuracy_score(y, model.predict(X), sample_weight=weight)
    assert model.score(X, y, weight) == pytest.approx(expected)
    targets = X[:, :2] ** 2
    fitted = tk.LogME(regression=True).fit(X, targets)
    expected = metrics.r2_score(targets, fitted.predict(X), sample_weight=weight)
    assert fitted.score(X, targets, weight) == pytest.approx(expected)


def test_set_output():
    pandas = pytest.importorskip("pandas")
    clone = pytest.importorskip("sklearn.base").clone
    frame = pandas.DataFrame(X, index=np.arange(120)[::-1])
    model = clone(tk.SFDA().set_output(transform="pandas"))
    table = model.fit_transform(frame, y)
    assert list(table.columns) == ["sfda0", "sfda1", "sfda2"]
    assert table.index.equals(frame.index)
    plain = model.set_output(transform="default").transform(X)
    np.testing.assert_allclose(plain, table, rtol=1e-11)  # other strides, other sums
    assert tk.LogME().set_output(transform="pandas").fit(X, y).score_ == tk.logme(X, y)
    with pytest.raises(ValueError, match="unknown"):
        model.set_output(transform="csv")
