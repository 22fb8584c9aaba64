"""The estimators: attributes, predictions, agreement with the functions, parameters."""

import warnings

import numpy as np
import pytest
import scipy.linalg
from conftest import make_problem

import transfer_kernels as tk

X, y = make_problem(400, 20, 5, seed=2)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        yield


def test_scores_are_those_of_the_functions(backend):
    assert tk.SFDA(backend=backend).fit(X, y).score_ == tk.sfda(X, y, backend=backend)
    assert tk.LogME(backend=backend).fit(X, y).score_ == tk.logme(X, y, backend=backend)
    assert tk.PARC(backend=backend).fit(X, y).score_ == tk.parc(X, y, backend=backend)
    assert tk.PARC(7, backend=backend).fit(X, y).score_ == tk.parc(X, y, 7, backend=backend)


@pytest.mark.parametrize("n", [400, 15])
def test_sfda_posteriors(backend, n):
    """Against the discriminant written out with an explicit inverse."""
    X, y = make_problem(n, 20, 4, seed=5, dtype=np.float64)
    model = tk.SFDA(backend=backend).fit(X, y)
    means = np.array([X[y == c].mean(0) for c in range(4)])
    priors = np.bincount(y) / n
    within = sum(np.cov(X[y == c].T, bias=True) * priors[c] for c in range(4))
    s = model.shrinkage_
    S = (1 - s) * within + s * np.trace(within) / 20 * np.eye(20)
    coef = np.linalg.solve(S, means.T).T
    logits = X @ coef.T - 0.5 * np.einsum("cd,cd->c", coef, means) + np.log(priors)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    # The condition of S limits what any two ways to solve with it agree on.
    tolerance = 1e-13 * np.linalg.cond(S) + 1e-9
    np.testing.assert_allclose(model.predict_proba(X), p, atol=tolerance)
    np.testing.assert_array_equal(model.predict(X), p.argmax(1))
    projected = model.transform(X)
    assert projected.shape == (n, 3)
    centred = sum(np.cov(projected[y == c].T, bias=True, ddof=0) * priors[c] for c in range(4))
    ridge = s * np.trace(within) / 20 * model.scalings_.T @ model.scalings_
    np.testing.assert_allclose((1 - s) * centred + ridge, np.eye(3), atol=1e-6)


def test_fisher_axes_solve_the_generalised_eigenproblem():
    model = tk.SFDA().fit(X, y)
    within = sum(np.cov(X[y == c].T, bias=True) * model.priors_[c] for c in range(5))
    between = np.cov(X.T, bias=True) - within
    s = model.shrinkage_
    S = (1 - s) * within + s * np.trace(within) / 20 * np.eye(20)
    _, vectors = scipy.linalg.eigh(between, S)
    signs = np.sign(np.sum(vectors[:, :-5:-1] * (S @ model.scalings_), axis=0))
    np.testing.assert_allclose(model.scalings_, signs * vectors[:, :-5:-1], atol=1e-6)


@pytest.mark.parametrize("n", [400, 15])
def test_logme_weights(backend, n):
    X, y = make_problem(n, 20, 4, seed=5, dtype=np.float64)
    model = tk.LogME(backend=backend).fit(X, y)
    assert model.alphas_.shape == model.betas_.shape == (4,)
    assert model.weights_.shape == (4, 20)
    # At the fixed point the weights are the ridge regression's at alpha / beta, nearly.
    for c in range(4):
        ridge = np.eye(20) * model.alphas_[c] / model.betas_[c]
        expected = np.linalg.solve(X.T @ X + ridge, X.T @ (y == c))
        np.testing.assert_allclose(model.weights_[c], expected, rtol=0.02, atol=1e-3)
    assert (model.predict(X) == y).mean() > 0.8


def test_logme_regression(backend):
    rng = np.random.default_rng(0)
    targets = X @ rng.normal(size=(20, 2)) + 0.1 * rng.normal(size=(400, 2))
    model = tk.LogME(regression=True, backend=backend).fit(X, targets)
    assert model.predict(X).shape == (400, 2)
    assert np.abs(model.predict(X) - targets).mean() < 0.2
    single = tk.LogME(regression=True, backend=backend).fit(X, targets[:, 0])
    assert single.predict(X).shape == (400,)
    both = [tk.logme(X, targets[:, i], True, backend=backend) for i in range(2)]
    assert model.score_ == pytest.approx(np.mean(both), rel=1e-12)
    assert single.score_ == pytest.approx(both[0], rel=1e-12)


def test_absent_classes_of_thuml():
    labels = np.array([0, 3, 4, 7, 9])[y]
    model = tk.LogME(variant="thuml").fit(X, labels)
    assert model.evidences_.shape == (10,)
    assert model.weights_.shape == (5, 20)
    assert set(model.predict(X)) <= set(labels)


def test_absent_classes_are_counted_and_not_looped_over(monkeypatch):
    X, labels = make_problem(80, 5, 3, seed=6)
    y = np.array([2, 5, 11])[labels]
    for variant in ("thuml", "thuml-icml"):
        one_by_one = tk.logme(X, y, variant=variant)
        with monkeypatch.context() as m:
            m.setattr("transfer_kernels.metrics.logme.MOST_ABSENT", 8)
            assert tk.logme(X, y, variant=variant) == pytest.approx(one_by_one, rel=1e-13)
            with pytest.raises(
                ValueError, match=r"counts 9 classes .* number the classes from 0 on"
            ):
                tk.LogME(variant=variant).fit(X, y)
        zeros = tk.LogME(variant=variant).fit(X, y).evidences_[0]
        present = tk.LogME(variant=variant).fit(X, labels).evidences_
        for largest in (3 * 10**8, 2**62):
            ids = np.array([7, largest - 1, largest])[labels]
            share = (present.sum() + (largest - 2) * zeros) / (largest + 1)
            assert tk.logme(X, ids, variant=variant) == pytest.approx(share, rel=1e-12)
        unsigned = np.array([0, 2**63, 2**64 - 1], dtype=np.uint64)[labels]
        assert tk.logme(X, unsigned, variant=variant) == pytest.approx(zeros, rel=1e-12)
        negative = np.array([-5, -4, 3])[labels]
        expected = (present.sum() + 3 * zeros) / 6
        assert tk.logme(X, negative, variant=variant) == pytest.approx(expected, rel=1e-12)


def test_string_classes():
    names = np.array(list("abcde"))[y]
    assert set(tk.SFDA().fit(X, names).predict(X)) <= set("abcde")
    expected = np.array(list("abcde"))[tk.LogME().fit(X, y).predict(X)]
    np.testing.assert_array_equal(tk.LogME().fit(X, names).predict(X), expected)


def test_unfitted_and_wrong_width():
    for model in (tk.SFDA(), tk.LogME()):
        with pytest.raises(ValueError, match="is not fitted yet; call fit"):
            model.predict(X)
        with pytest.raises(ValueError, match="features have 3 columns, but .* fitted with 20"):
            model.fit(X, y).predict(X[:, :3])


def test_parameters():
    model = tk.LogME(variant="tllib")
    assert model.get_params() == {
        "regression": False,
        "variant": "tllib",
        "backend": None,
        "ignore_label": None,
    }
    assert repr(model) == "LogME(variant='tllib')"
    assert model.set_params(variant="thuml").variant == "thuml"
    with pytest.raises(ValueError, match="LogME has no parameter 'alpha'"):
        model.set_params(alpha=1)
    clone = pytest.importorskip("sklearn.base").clone
    assert clone(model).get_params() == model.get_params()


def test_refitting_forgets():
    model = tk.SFDA().fit(X, y)
    first = model.score_
    model.fit(X[:, :7], y % 3)
    assert model.coef_.shape == (3, 7)
    assert model.fit(X, y).score_ == first


#: scikit-learn's checks that ask for its own words, classes of errors or leniency.
WORDING = "refused, in words of our own"
NOT_MET = {
    "check_estimators_unfitted": "scikit-learn's NotFittedError, which is not imported here",
    "check_n_features_in_after_fitting": WORDING,
    "check_complex_data": "refused, with a TypeError",
    "check_dtype_object": "objects are refused even where they are numbers",
    "check_estimators_empty_data_messages": WORDING,
    "check_estimators_nan_inf": WORDING,
    "check_classifiers_regression_target": "any hashable labels are classes, real numbers too",
    "check_supervised_y_2d": "one column of labels is taken without a warning",
    "check_fit2d_1sample": WORDING,
    "check_fit2d_predict1d": WORDING,
    "check_regressors_train": "there is no method score beside score_, the transferability",
    "check_requires_y_none": WORDING,
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [tk.SFDA(), tk.LogME(), tk.LogME(regression=True), tk.PARC()])
def test_scikit_learn_checks(model):
    pytest.importorskip("sklearn", minversion="1.6")
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    checks.check_estimator(model, expected_failed_checks=NOT_MET, on_skip=None)


def test_scikit_learn_tools():
    selection = pytest.importorskip("sklearn.model_selection")
    pipeline = pytest.importorskip("sklearn.pipeline").make_pipeline
    scale = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    for model in (tk.SFDA(), tk.LogME()):
        scores = selection.cross_val_score(pipeline(scale, model), X, y, scoring="accuracy")
        assert scores.mean() > 0.5
    grid = selection.GridSearchCV(
        tk.LogME(), {"variant": ["evidence", "tllib"]}, scoring="accuracy"
    )
    assert grid.fit(X, y).best_params_["variant"] in {"evidence", "tllib"}


def test_two_classes_have_one_discriminant():
    model = tk.SFDA().fit(X, y % 2)
    values = model.decision_function(X)
    assert values.shape == (len(X),)
    np.testing.assert_array_equal(model.predict(X), (values > 0).astype(int))
    odds = model.predict_proba(X)
    np.testing.assert_allclose(np.log(odds[:, 1] / odds[:, 0]), values, rtol=1e-9, atol=1e-9)
