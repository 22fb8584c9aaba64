"""Metrics of class scatter, beside one sample that drowns all others, and dependent columns."""

import warnings

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk


def problem(kind):
    X, y = make_problem(200, 8, 4, dtype=np.float64)
    if kind == "loud row":
        X[5] *= 3e8
    elif kind == "dependent columns":
        X = np.concatenate([X, X[:, :3] - X[:, 3:6]], axis=1)
    return X, y


def exact_hscore(X, y):
    """By a QR factorisation of the leading independent columns, the loudest rows first."""
    Z = X - X.mean(axis=0)
    order = np.argsort(-np.linalg.norm(Z, axis=1))
    basis = np.linalg.qr(Z[order][:, : np.linalg.matrix_rank(Z / np.linalg.norm(Z, axis=0))])[0]
    codes = y[order]
    total = sum((basis[codes == c].sum(axis=0) ** 2).sum() / (codes == c).sum() for c in set(y))
    return total


@pytest.mark.parametrize("kind", ["plain", "loud row", "dependent columns"])
def test_hscore(backend, kind):
    X, y = problem(kind)
    assert tk.hscore(X, y, backend=backend) == pytest.approx(exact_hscore(X, y), rel=1e-7)


@pytest.mark.parametrize("kind", ["plain", "loud row", "dependent columns"])
def test_transrate(backend, kind):
    X, y = problem(kind)
    Z = X - X.mean(axis=0)

    def rate(rows):
        singular = np.linalg.svd(rows, compute_uv=False)
        return 0.5 * np.log1p(singular**2 / (len(rows) * 1e-4)).sum()

    expected = rate(Z) - np.mean([rate(Z[y == c]) for c in set(y)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tk.transrate(X, y, backend=backend)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", ["hscore", "transrate"])
@pytest.mark.parametrize("kind", ["loud row", "dependent columns"])
def test_tensors_are_taken_where_they_are(metric, kind, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("TRANSFER_KERNELS_TORCH_ON_HOST", "1")
    X, y = problem(kind)
    # NumPy's factorisation would mean that samples were brought to it.
    expected = getattr(tk, metric)(X, y, backend="native")
    monkeypatch.setattr(np.linalg, "qr", None)
    found = getattr(tk, metric)(torch.from_numpy(X), y, backend="torch")
    assert found == pytest.approx(expected, rel=1e-9)
