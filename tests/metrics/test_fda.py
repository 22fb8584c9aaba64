"""The FDA score: against the published way of computing it, on every backend, and its edges."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk

sys.path.append(str(Path(__file__).parents[2]))  # `bench` is not installed

from bench import published  # noqa: E402

LinearDiscriminantAnalysis = pytest.importorskip(
    "sklearn.discriminant_analysis"
).LinearDiscriminantAnalysis


@pytest.mark.parametrize(("n", "d", "n_classes"), [(500, 96, 10), (200, 40, 3), (120, 7, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_published_way(backend, n, d, n_classes, dtype):
    X, y = make_problem(n, d, n_classes, seed=3, dtype=dtype)
    assert tk.fda_score(X, y, backend=backend) == pytest.approx(published.fda_score(X, y), abs=1e-9)


def test_without_projection_it_is_plain_discriminant_analysis():
    X, y = make_problem(300, 12, 5, seed=1, dtype=np.float64)
    plain = LinearDiscriminantAnalysis(solver="lsqr").fit(X, y)
    # scikit-learn divides the within-class scatter by n too, so the posteriors agree.
    expected = plain.predict_proba(X)[np.arange(len(y)), y].mean()
    assert tk.fda_score(X, y, 12) == pytest.approx(expected, abs=1e-9)
    assert tk.fda_score(X, y, 500) == tk.fda_score(X, y, 12)


def test_scale_and_shift_of_the_features_change_nothing():
    X, y = make_problem(300, 12, 5, seed=1, dtype=np.float64)
    expected = tk.fda_score(X, y)
    assert tk.fda_score(1e4 * X - 3e3, y) == pytest.approx(expected, rel=1e-9)
    assert tk.fda_score(X * np.logspace(-2, 2, 12), y) == pytest.approx(expected, rel=1e-9)


def test_is_a_metric_of_the_family():
    X, y = make_problem(200, 50, 4, seed=2)
    scores = tk.score(X, y, ["fda_score", "fda_score(n_components=8)"])
    assert scores == {
        "fda_score": tk.fda_score(X, y),
        "fda_score(n_components=8)": tk.fda_score(X, y, 8),
    }
    assert scores["fda_score"] != scores["fda_score(n_components=8)"]


def test_a_singular_within_class_scatter_is_shrunk(backend):
    X, y = make_problem(200, 6, 4, seed=2, dtype=np.float64)
    expected = tk.fda_score(X, y, backend=backend)
    twice = np.hstack([X, X])
    # Twice the same features discriminate as once; the shrinkage moves that by parts in a million.
    assert tk.fda_score(twice, y, backend=backend) == pytest.approx(expected, abs=1e-4)
    constant = np.hstack([X, np.full((200, 3), 7.0)])
    assert tk.fda_score(constant, y, backend=backend) == pytest.approx(expected, abs=1e-4)


def test_too_few_samples_are_warned_of():
    X, y = make_problem(30, 60, 4, seed=2)
    with pytest.warns(tk.UninformativeScoreWarning, match="30 samples of 4 classes"):
        assert 0.99 < tk.fda_score(X, y) <= 1.0


def test_refusals():
    X, y = make_problem(60, 6, 3, seed=2)
    with pytest.raises(ValueError, match="n_components=0 is out of range"):
        tk.fda_score(X, y, 0)
    with pytest.raises(TypeError, match="n_components must be an integer, not 2.5"):
        tk.fda_score(X, y, 2.5)
    with pytest.raises(ValueError, match="at least two classes"):
        tk.fda_score(X, np.zeros(60))
    with pytest.raises(ValueError, match="singular"):
        tk.fda_score(np.eye(3)[y], y)
