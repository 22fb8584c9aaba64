"""ridge_probe: against fits that do leave each sample out, invariances, edge cases."""

import numpy as np
import pytest
from conftest import make_problem
from sklearn.linear_model import Ridge

import transfer_kernels as tk
from transfer_kernels.metrics import ridge_probe

SHAPES = [(60, 8, 3), (40, 60, 4), (30, 29, 2), (90, 12, 30)]


def by_leaving_out(X, y):
    """Accuracy of as many fits as samples, of the ridge of least generalised error."""
    X = np.asarray(X, np.float64)
    n, d = X.shape
    Y = np.eye(y.max() + 1)[y]
    Z = X - X.mean(axis=0)
    gram = Z.T @ Z
    errors, ridges = [], ridge_probe.RIDGES * np.trace(gram) / min(n - 1, min(n, d))
    for ridge in ridges:
        H = np.full((n, n), 1.0 / n) + Z @ np.linalg.solve(gram + ridge * np.eye(d), Z.T)
        errors.append(((Y - H @ Y) ** 2).sum() / (1.0 - np.trace(H) / n) ** 2)
    model = Ridge(ridges[np.argmin(errors)], solver="cholesky")
    kept = [np.arange(n) != i for i in range(n)]
    predicted = np.array(
        [model.fit(X[k], Y[k]).predict(X[i : i + 1])[0] for i, k in enumerate(kept)]
    )
    return (predicted.argmax(axis=1) == y).mean()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_equals_as_many_fits_as_samples(backend, shape, spread):
    X, y = make_problem(*shape, spread=spread)
    assert tk.ridge_probe(X, y, backend=backend) == pytest.approx(by_leaving_out(X, y), abs=1e-12)


@pytest.mark.parametrize("shape", [(150, 20, 4), (50, 80, 4)], ids=str)
def test_neither_unit_offset_nor_numbering_matters(backend, shape):
    X, y = make_problem(*shape, spread=0.4, dtype=np.float64)
    expected = tk.ridge_probe(X, y, backend=backend)
    for changed in (1e200 * X, 1e-200 * X, X + 1e3, X[:, ::-1]):
        assert tk.ridge_probe(changed, y, backend=backend) == pytest.approx(expected)
    assert tk.ridge_probe(X, (y + 1) % 4, backend=backend) == pytest.approx(expected)


def test_labels_that_the_features_do_not_know_are_guessed(backend):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 30)), rng.integers(0, 4, 2000)
    assert 0.2 < tk.ridge_probe(X, y, backend=backend) < 0.3


def test_separate_classes_are_right(backend):
    X, y = make_problem(200, 20, 4, spread=20.0)
    assert tk.ridge_probe(X, y, backend=backend) == 1.0


def test_a_class_of_one_sample_is_never_right(backend):
    X, y = make_problem(101, 20, 4, spread=20.0)
    X[-1], y[-1] = 50.0, 9
    assert tk.ridge_probe(X, y, backend=backend) <= 100 / 101


@pytest.mark.parametrize("shape", [(30, 4), (30, 40)], ids=str)
def test_features_that_do_not_vary_let_it_guess(backend, shape):
    y = np.arange(30) % 3 // 2  # 20 and 10
    with pytest.warns(tk.UninformativeScoreWarning, match="a guess here"):
        assert tk.ridge_probe(np.ones(shape), y, backend=backend) == pytest.approx(2 / 3)
    even = np.arange(30) % 2
    with pytest.warns(tk.UninformativeScoreWarning, match="a guess here"):
        # Without itself a sample's class has one sample less than the other.
        assert tk.ridge_probe(np.ones(shape), even, backend=backend) == 0.0


def test_dependent_columns(backend):
    X, y = make_problem(120, 10, 3, spread=0.5)
    doubled = np.hstack([X, X, np.ones((120, 2), np.float32)])
    assert tk.ridge_probe(doubled, y, backend=backend) == pytest.approx(
        by_leaving_out(doubled, y), abs=1e-12
    )
