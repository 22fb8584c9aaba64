"""NCE against published values and its formula."""

import numpy as np
import pytest
from conftest import GOLDENS
from scipy import sparse

import transfer_kernels as tk

CASES = sorted(path.stem for path in GOLDENS.glob("*.npz"))
VARIANTS = {"nce_tllib": "tllib", "nce_modelspider": "tllib", "nce_parc": "parc"}

# PARC's code adds its guard to cells of classes that do not occur, too; ours has no such cells.
ABSENT_CLASSES = {("noncontiguous", "nce_parc")}


def test_published_values(goldens, backend):
    checked = 0
    for case in CASES:
        arrays = goldens["arrays"](case)
        for key, variant in VARIANTS.items():
            published = goldens["scores"][case].get(key)
            if published is not None and (case, key) not in ABSENT_CLASSES:
                ours = tk.nce(arrays["theta"], arrays["y"], variant, backend=backend)
                assert ours == pytest.approx(published, rel=1e-14), (case, key)
                checked += 1
    assert checked == 59


def test_minus_the_conditional_entropy():
    rng = np.random.default_rng(5)
    theta, y = rng.dirichlet(np.ones(6), size=80), rng.integers(0, 3, 80)
    joint = np.zeros((3, 6))
    np.add.at(joint, (y, theta.argmax(axis=1)), 1 / 80)

    def entropy(p):
        return -(p[p > 0] * np.log(p[p > 0])).sum()

    expected = entropy(joint.sum(axis=0)) - entropy(joint)
    assert tk.nce(theta, y) == pytest.approx(expected, rel=1e-12)
    assert tk.nce(sparse.csr_array(theta), y) == pytest.approx(expected, rel=1e-12)
    assert tk.nce(np.eye(3)[y], y) == 0.0


def test_the_first_of_equally_probable_source_classes_counts():
    theta = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    for given in (theta, sparse.csr_matrix(theta)):
        assert tk.nce(given, [0, 1, 0, 1]) == 0.0


def test_unknown_variant():
    with pytest.raises(ValueError, match="variant='logme' is unknown; choose one of tllib, parc"):
        tk.nce(np.eye(2)[[0, 1, 0, 1]], [0, 1, 1, 0], "logme")
