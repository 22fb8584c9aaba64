"""knn: what it is by scikit-learn and by hand, its edge cases, and what it refuses."""

import numpy as np
import pytest
from conftest import make_problem
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

import transfer_kernels as tk


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_is_the_accuracy_of_leaving_one_out(backend, metric):
    X, y = make_problem(150, 12, 4)
    theirs = cross_val_score(KNeighborsClassifier(3, metric=metric), X, y, cv=LeaveOneOut()).mean()
    assert tk.knn(X, y, metric=metric, ties="smallest", backend=backend) == pytest.approx(theirs)


def test_shared_ties_do_not_depend_on_the_numbering_of_classes(backend):
    X, y = make_problem(200, 6, 5, spread=0.3)
    renumbered = np.array([3, 0, 4, 2, 1])[y]
    assert tk.knn(X, y, k=4, backend=backend) == tk.knn(X, renumbered, k=4, backend=backend)
    first = tk.knn(X, y, k=4, ties="smallest", backend=backend)
    assert first != tk.knn(X, renumbered, k=4, ties="smallest", backend=backend)


def test_duplicates_vote(backend):
    X, y = make_problem(60, 8, 3, spread=0.0)
    assert tk.knn(np.repeat(X, 2, axis=0), np.repeat(y, 2), k=1, backend=backend) == 1.0


def test_a_class_of_one_sample_is_never_right(backend):
    X = np.array([[0.0], [0.1], [0.2], [5.0]])
    assert tk.knn(X, ["a", "a", "a", "b"], k=1, backend=backend) == 0.75


def test_an_offset_costs_nothing(backend):
    X, y = make_problem(300, 20, 5, dtype=np.float64, spread=0.4)
    X = np.round(X * 2.0**12) / 2.0**12
    assert tk.knn(X + 2.0**20, y, backend=backend) == tk.knn(X, y, backend=backend)


def test_regression_is_the_correlation_with_the_neighbours_mean(backend):
    X, _ = make_problem(120, 5, 2, dtype=np.float64)
    Y = X[:, :2] + 0.1
    indices, _ = tk.ops.nearest_neighbors(X, 4)
    expected = [np.corrcoef(Y[:, j], Y[indices, j].mean(axis=1))[0, 1] for j in range(2)]
    found = tk.knn(X, Y, k=4, regression=True, backend=backend)
    assert found == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_regression_of_any_unit(backend, scale):
    X, _ = make_problem(50, 5, 2)
    y = X[:, 0].astype(np.float64)
    expected = tk.knn(X, y, regression=True, backend=backend)
    assert tk.knn(X, scale * y, regression=True, backend=backend) == pytest.approx(expected)


def test_constant_targets_say_nothing(backend):
    X, _ = make_problem(50, 5, 2)
    with pytest.warns(tk.UninformativeScoreWarning, match="a target, or what its neighbours"):
        assert np.isnan(tk.knn(X, np.full(50, 2.5), regression=True, backend=backend))


@pytest.mark.parametrize("k", [0, 40, 41, -1])
def test_too_many_neighbours(backend, k):
    X, y = make_problem(40, 5, 3)
    with pytest.raises(ValueError, match=f"k={k} is out of range: 40 samples have 39 neighbours"):
        tk.knn(X, y, k=k, backend=backend)


def test_what_it_refuses(backend):
    X, y = make_problem(40, 5, 3)
    with pytest.raises(ValueError, match="metric='l1' is unknown; choose one of euclidean, cosine"):
        tk.knn(X, y, metric="l1", backend=backend)
    with pytest.raises(ValueError, match="ties='first' is unknown; choose one of share, smallest"):
        tk.knn(X, y, ties="first", backend=backend)
    with pytest.raises(TypeError, match="k must be an integer"):
        tk.knn(X, y, k=2.5, backend=backend)
    with pytest.raises(ValueError, match="labels must hold at least two classes"):
        tk.knn(X, np.zeros(40, int), backend=backend)
