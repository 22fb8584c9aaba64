"""LEEP against published values, its formula, and where that is undefined."""

import numpy as np
import pytest
from conftest import GOLDENS
from scipy import sparse

import transfer_kernels as tk

CASES = sorted(path.stem for path in GOLDENS.glob("*.npz"))
VARIANTS = {
    "leep_tllib": "tllib",
    "leep_parc": "tllib",
    "leep_modelspider": "modelspider",
    "nleep_sfda_given_posterior": "sfda",
}


def test_published_values(goldens, backend):
    checked = 0
    for case in CASES:
        arrays = goldens["arrays"](case)
        for key, variant in VARIANTS.items():
            published = goldens["scores"][case].get(key)
            if published is not None:
                ours = tk.leep(arrays["theta"], arrays["y"], variant, backend=backend)
                assert ours == pytest.approx(published, rel=1e-14), (case, key)
                checked += 1
    assert checked == 76


def test_the_formula(backend):
    rng = np.random.default_rng(3)
    theta, y = rng.dirichlet(np.ones(9), size=60), rng.integers(0, 4, 60)
    shares = np.array([theta[y == c].sum(axis=0) / theta.sum(axis=0) for c in range(4)])
    expected = np.log((theta * shares[y]).sum(axis=1)).mean()
    for given in (theta, sparse.csr_array(theta), np.asfortranarray(theta)):
        assert tk.leep(given, y, backend=backend) == pytest.approx(expected, rel=1e-13)


def test_a_source_class_without_mass_contributes_nothing(goldens, backend):
    arrays = goldens["arrays"]("theta_edge")
    theta, y = arrays["theta"], arrays["y"]
    empty = np.flatnonzero(theta.sum(axis=0) == 0.0)
    assert len(empty) == 1  # published code gives NaN here
    expected = tk.leep(np.delete(theta, empty, axis=1), y, backend=backend)
    assert tk.leep(theta, y, backend=backend) == pytest.approx(expected, rel=1e-14)
    assert tk.leep(sparse.csr_matrix(theta), y, backend=backend) == pytest.approx(expected)


def test_classes_are_those_that_occur(goldens):
    arrays = goldens["arrays"]("noncontiguous")
    names = np.array(["c", "-", "-", "a", "-", "-", "-", "b"])[arrays["y"]]
    expected = tk.leep(arrays["theta"], arrays["y"])
    assert tk.leep(arrays["theta"], names) == pytest.approx(expected, rel=1e-14)


def test_perfect_and_useless_posteriors():
    y = np.arange(40) % 4
    assert tk.leep(np.eye(4)[y], y) == 0.0
    assert tk.leep(np.full((40, 7), 1 / 7), y) == pytest.approx(-np.log(4.0), rel=1e-12)


def test_unknown_variant():
    with pytest.raises(ValueError, match="variant='fennec' is unknown; choose one of tllib"):
        tk.leep(np.eye(2)[[0, 1, 0, 1]], [0, 1, 1, 0], "fennec")
