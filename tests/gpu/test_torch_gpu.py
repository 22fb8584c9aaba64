"""The GPU backends' versions that PyTorch's libraries serve, against the definitions.

They run on a GPU where there is one, else on the CPU: nothing in them depends on the device.
"""

import importlib

import numpy as np
import pytest
from conftest import make_problem

from transfer_kernels.kernels.logme_evidence import EvidenceRule, LargestEvidence

torch = pytest.importorskip("torch")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def versions(op):
    """The GPU version and the definition of an op."""
    package = f"transfer_kernels.kernels.{op}"
    return (importlib.import_module(f"{package}.{module}") for module in ("torch_gpu", "reference"))


def features(n, d, dtype=torch.float32, offset=0.0, seed=0):
    """A tensor of features, the same numbers as a float64 array, and labels."""
    X, labels = make_problem(n, d, min(3, n), seed=seed, dtype=np.float64, offset=offset)
    tensor = torch.from_numpy(X).to(DEVICE, dtype)
    return tensor, tensor.double().cpu().numpy(), labels


def host(tensor):
    assert tensor.dtype == torch.float64 and tensor.device.type == DEVICE
    return tensor.cpu().numpy()


def close(found, expected, tolerance=1e-11):
    scale = np.abs(expected).max() or 1.0
    np.testing.assert_allclose(host(found) / scale, expected / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_first_nonfinite(dtype, bad):
    version, _ = versions("first_nonfinite")
    X, _, _ = features(40, 7, dtype)
    assert version.first_nonfinite(X) is None
    X[31, 2] = bad
    X[12, 5] = bad
    X[12, 6] = bad
    assert version.first_nonfinite(X) == (12, 5)
    assert version.first_nonfinite(X.T) == (2, 31)


@pytest.mark.parametrize("n, d", [(5, 9), (1, 4), (30, 200)])
def test_row_space(n, d):
    version, _ = versions("row_space")
    X, array, _ = features(n, d, offset=100.0)
    Z, basis, origin = version.row_space(X)
    close(origin, array.mean(axis=0))
    close(basis @ basis.T, np.eye(n))
    close(Z @ basis + origin, array)


@pytest.mark.parametrize("n, d, n_components", [(60, 9, 4), (60, 9, 9), (12, 50, 5), (1, 3, 1)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_randomized_pca(n, d, n_components, dtype):
    version, reference = versions("randomized_pca")
    X, array, _ = features(n, d, dtype, offset=3.0)
    close(version.randomized_pca(X, n_components), reference.randomized_pca(array, n_components))


def test_randomized_pca_over_several_blocks(monkeypatch):
    version, reference = versions("randomized_pca")
    monkeypatch.setattr(version, "BLOCK_ELEMENTS", 64)
    for n, d in ((50, 20), (20, 50)):
        X, array, _ = features(n, d)
        close(version.randomized_pca(X, 3), reference.randomized_pca(array, 3))


@pytest.mark.parametrize("block_elements", [1 << 24, 30])
def test_target_moments(block_elements, monkeypatch):
    version, reference = versions("target_moments")
    monkeypatch.setattr(version, "BLOCK_ELEMENTS", block_elements)
    X, array, _ = features(37, 5)
    Y = np.random.default_rng(0).normal(size=(37, 3))
    close(version.target_moments(X, Y), reference.target_moments(array, Y))


@pytest.mark.parametrize("n_features", [1, 2, 33])
def test_fisher_discriminant(n_features):
    version, reference = versions("fisher_discriminant")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2 * n_features + 3, n_features))
    gram = np.triu(rows.T @ rows)
    gram[np.tril_indices(n_features, -1)] = np.nan
    left, right = rng.normal(size=(2, 4, n_features))
    before = gram.copy()
    found = version.within_scatter(torch.from_numpy(gram).to(DEVICE), 0.1 * left, 0.1 * right, 50)
    expected = reference.within_scatter(gram, 0.1 * left, 0.1 * right, 50)
    close(torch.triu(found), np.triu(expected))
    np.testing.assert_array_equal(gram, before)

    largest = version.dominant_eigenvalue(found, np.ones(n_features))
    assert largest == pytest.approx(
        reference.dominant_eigenvalue(expected, np.ones(n_features)), rel=1e-12
    )
    means = rng.normal(size=(3, n_features))
    expected = reference.fisher_discriminant(expected, means, 0.1, n_features)
    found = version.fisher_discriminant(found, means, 0.1, n_features)
    for one, other in zip(found, expected, strict=True):
        close(one, other)


def test_fisher_discriminant_of_nothing():
    version, reference = versions("fisher_discriminant")
    zero = torch.zeros(3, 3, dtype=torch.float64, device=DEVICE)
    assert version.dominant_eigenvalue(zero, np.ones(3)) == 0.0
    with pytest.raises(reference.SingularScatter):
        version.fisher_discriminant(zero, np.ones((2, 3)), 0.5, 3)


@pytest.mark.parametrize("n_classes", [2, 5, 40])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("block_elements", [1 << 24, 100])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_self_challenging(n_classes, mixed, block_elements, dtype, monkeypatch):
    version, reference = versions("self_challenging")
    monkeypatch.setattr(version, "BLOCK_ELEMENTS", block_elements)
    X, array, _ = features(41, 6, dtype)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, n_classes, len(X))
    coef, intercept = rng.normal(size=(n_classes, 6)), 30.0 * rng.normal(size=n_classes)
    mixing = (rng.random(len(X)), rng.normal(size=(n_classes, 6))) if mixed else None
    found = version.self_challenging(X, codes, coef, intercept, mixing)
    expected = reference.self_challenging(array, codes, coef, intercept, mixing)
    for one, other in zip(found, expected, strict=True):
        close(one, other)


SCATTER_SHAPES = [
    (1, 1, 1), (2, 3, 5), (33, 7, 3), (300, 65, 7), (90, 300, 40),
]  # fmt: skip


@pytest.mark.parametrize("shape", SCATTER_SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("blocks", ["one", "several"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fisher_scatter(shape, weighted, blocks, dtype, monkeypatch):
    version, reference = versions("fisher_scatter")
    n, d, n_classes = shape
    if blocks == "several":
        monkeypatch.setattr(version, "BLOCK_ELEMENTS", 40 * d)
        monkeypatch.setattr(version, "SUM_ROWS", 7)
        monkeypatch.setattr(version, "SUM_PART", 0.0)
        monkeypatch.setattr(version, "FEWEST_COLUMNS", 16)
    rng = np.random.default_rng(n)
    X, array, _ = features(n, d, dtype, offset=2.0)
    codes = rng.integers(0, max(1, n_classes - 1), n)  # the last class stays empty
    weights = rng.random(n) * (rng.random(n) > 0.2) if weighted else None
    shift = rng.normal(size=d)
    expected = reference.fisher_scatter(array, codes, n_classes, weights, shift)
    found, again = (
        version.fisher_scatter(layout, codes, n_classes, weights, shift)
        for layout in (X, X.T.contiguous().T)
    )
    for name in ("shift", "counts", "shifted_sums", "root_counts", "shifted_root_sums"):
        close(getattr(found, name), getattr(expected, name), 1e-12)
        assert torch.equal(getattr(found, name), getattr(again, name))
    close(found.shifted_gram.triu(), np.triu(expected.shifted_gram), 1e-12)
    assert torch.equal(found.shifted_gram.triu(), again.shifted_gram.triu())


def test_fisher_scatter_computes_one_triangle(monkeypatch):
    version, _ = versions("fisher_scatter")
    X, _, y = features(50, 64)
    monkeypatch.setattr(version, "FEWEST_COLUMNS", 8)
    gram = version.fisher_scatter(X, y, 3).shifted_gram
    assert not gram[8:, :8].any() and gram[:8, 8:].all()


EVIDENCE_RULES = {
    "evidence": {},
    "rank only": {"full_spectrum": False},
    "epsilon inside": {"tolerance": 1e-2, "epsilon_in_evidence": True},
    "no epsilon": {"epsilon": 0.0, "tolerance": 1e-2},
    "warm start": {"full_spectrum": False, "warm_start": True},
    "long": {"tolerance": 1e-9, "max_rounds": 25},
    "largest": None,
}


@pytest.mark.parametrize("rule", EVIDENCE_RULES)
@pytest.mark.parametrize("n, d", [(1, 1), (9, 8), (50, 23), (31, 70)])
def test_logme_evidence(n, d, rule):
    version, reference = versions("logme_evidence")
    settings = EVIDENCE_RULES[rule]
    rule = LargestEvidence() if settings is None else EvidenceRule(**settings)
    X, _, labels = features(n, d, torch.float64)
    X = X.cpu().numpy()
    noisy = X[:, :1] + 0.1 * np.random.default_rng(1).normal(size=(n, 2))
    Y = np.concatenate([np.eye(3)[labels], np.zeros((n, 1)), 1e3 * noisy], axis=1)
    if rule == LargestEvidence():
        Y = noisy
    dual = n < d
    gram = X @ X.T if dual else X.T @ X
    gram[np.tril_indices(len(gram), -1)] = np.nan
    arguments = Y if dual else X.T @ Y, (Y * Y).sum(axis=0), n, d, rule, dual
    expected = vars(reference.logme_evidence(gram, *arguments))
    found = vars(version.logme_evidence(torch.from_numpy(gram).to(DEVICE), *arguments))
    for name, value in found.items():
        # An evidence is the difference of terms of order one a sample.
        atol = 1e-9 if name == "evidences" else 0.0
        np.testing.assert_allclose(host(value), expected[name], rtol=1e-9, atol=atol, err_msg=name)


def test_logme_evidence_of_no_targets():
    version, _ = versions("logme_evidence")
    found = version.logme_evidence(
        torch.eye(3), np.zeros((3, 0)), np.zeros(0), 9, 3, EvidenceRule()
    )
    assert all(value.shape == (0,) for value in vars(found).values())
