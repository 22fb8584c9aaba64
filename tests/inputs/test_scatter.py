"""The object that fisher_scatter returns: sums, means, scatters, addition, saving."""

import pickle

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.ops import FisherScatter, fisher_scatter


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_against_plain_numpy(backend, offset):
    X, y = make_problem(200, 11, 4, offset=offset, dtype=np.float64)
    scatter = fisher_scatter(X, y, 4, backend=backend)
    within = sum(np.cov(X[y == c].T, bias=True) * (y == c).sum() for c in range(4)) / len(X)
    np.testing.assert_allclose(scatter.counts, np.bincount(y))
    np.testing.assert_allclose(scatter.sums, [X[y == c].sum(0) for c in range(4)], rtol=1e-12)
    np.testing.assert_allclose(scatter.means, [X[y == c].mean(0) for c in range(4)], rtol=1e-12)
    np.testing.assert_allclose(scatter.gram, X.T @ X, rtol=1e-11)
    # No digit is lost to the offset.
    np.testing.assert_allclose(scatter.within(), within, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(scatter.total(), np.cov(X.T, bias=True), rtol=1e-9, atol=1e-11)


def test_addition_refuses_other_shapes():
    X, y = make_problem(50, 5, 3)
    scatter = fisher_scatter(X, y, 3)
    with pytest.raises(ValueError, match=r"add only with equal classes and features.*\(4, 5\)"):
        scatter + fisher_scatter(X, y, 4)
    with pytest.raises(TypeError):
        scatter + 1


def test_save_and_load(tmp_path):
    X, y = make_problem(50, 5, 3)
    scatter = fisher_scatter(X, y, 3, weights=np.linspace(0, 1, 50))
    scatter.save(tmp_path / "scatter.npz")
    loaded = FisherScatter.load(tmp_path / "scatter.npz")
    np.testing.assert_array_equal(loaded.gram, scatter.gram)
    np.testing.assert_array_equal(loaded.sums, scatter.sums)
    np.savez(tmp_path / "other.npz", shift=np.zeros(3))
    with pytest.raises(ValueError, match="is no saved FisherScatter: it lacks counts"):
        FisherScatter.load(tmp_path / "other.npz")


def test_loading_executes_no_code(tmp_path):
    class Exploit:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    np.savez(tmp_path / "evil.npz", shift=np.array([Exploit()], dtype=object))
    with pytest.raises(ValueError):
        FisherScatter.load(tmp_path / "evil.npz")
    assert not (tmp_path / "executed").exists()
    assert pickle.dumps(Exploit())


def test_streams_a_data_set_in_parts():
    X, y = make_problem(500, 16, 5)
    total = sum(
        (fisher_scatter(X[i : i + 100], y[i : i + 100], 5) for i in range(100, 500, 100)),
        start=fisher_scatter(X[:100], y[:100], 5),
    )
    np.testing.assert_allclose(total.gram, fisher_scatter(X, y, 5).gram, rtol=1e-12)
    assert isinstance(total, tk.ops.FisherScatter)
