"""CUDA version of logme_evidence: its kernels run on the host, and on a GPU where there is one."""

import numpy as np
import pytest
from conftest import cuda_kernel_devices
from test_logme_evidence import (
    DEFAULT,
    FIELDS,
    RULES,
    arguments,
    exact_evidence,
    make_features,
    make_targets,
    rank_deficient,
)

from transfer_kernels.kernels.logme_evidence import (
    Evidence,
    EvidenceRule,
    LargestEvidence,
    reference,
)

torch = pytest.importorskip("torch")

DEVICES = cuda_kernel_devices()
if not DEVICES:
    pytest.skip("the CUDA kernels are built neither for the host nor for a GPU", True)


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


class PoisonedTorch:
    """PyTorch, but that its uninitialised memory is NaN."""

    def __getattr__(self, name):
        return getattr(torch, name)

    @staticmethod
    def empty(*args, **kwargs):
        return torch.full(args, float("nan"), **kwargs)


@pytest.fixture
def version(monkeypatch):
    from transfer_kernels.kernels.logme_evidence import cuda_gpu

    monkeypatch.setattr(cuda_gpu, "torch", PoisonedTorch())
    return cuda_gpu


def evidence(version, device, gram, moments, squares, *rest):
    found = version.logme_evidence(torch.tensor(gram, device=device), moments, squares, *rest)
    for field in FIELDS:
        values = getattr(found, field)
        assert values.dtype == torch.float64 and values.device.type == device
    return Evidence(*(getattr(found, field).cpu().numpy() for field in FIELDS))


def assert_close(found, expected, rtol=1e-9):
    for field in FIELDS:
        atol = rtol if field == "evidences" else 0  # a difference of terms of order one a sample
        np.testing.assert_allclose(
            getattr(found, field), getattr(expected, field), rtol=rtol, atol=atol
        )


def assert_same_bits(found, expected):
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


SHAPES = [(1, 1), (2, 1), (3, 2), (50, 31), (60, 32), (60, 33), (90, 70), (7, 40), (33, 40)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", [name for name in RULES if name != "long"])
def test_equals_the_definition(version, device, shape, rule):
    X = make_features(*shape)
    args = arguments(X, make_targets(X, 2), RULES[rule])
    assert_close(evidence(version, device, *args), reference.logme_evidence(*args))


@pytest.mark.parametrize("shape", [(60, 33), (33, 40)], ids=["primal", "dual"])
def test_many_rounds(version, device, shape):
    X = make_features(*shape)
    args = arguments(X, make_targets(X, 1), RULES["long"])
    assert_close(evidence(version, device, *args), reference.logme_evidence(*args))


def test_many_features(version, device):
    X = make_features(230, 200)
    args = arguments(X, make_targets(X, 1))
    assert_close(evidence(version, device, *args), reference.logme_evidence(*args))


def test_more_targets_than_are_fitted_at_once(version, device, monkeypatch):
    monkeypatch.setattr(version, "targets_at_once", lambda kernels: 4)
    X = make_features(80, 35)
    gram, moments, squares, *rest = arguments(X, make_targets(X, 9))
    found = evidence(version, device, gram, moments, squares, *rest)
    assert_close(found, reference.logme_evidence(gram, moments, squares, *rest))
    for k in (0, 7):  # alone, and with a predecessor in its thread block
        alone = evidence(version, device, gram, moments[:, k : k + 1], squares[k : k + 1], *rest)
        for field in FIELDS:
            np.testing.assert_allclose(
                getattr(alone, field)[0], getattr(found, field)[k], rtol=1e-11
            )


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("shape", [(90, 40), (30, 40)], ids=["primal", "dual"])
def test_scales(version, device, scale, shape):
    X = make_features(*shape, scale=scale)
    for rule in (DEFAULT, RULES["no epsilon"]):
        args = arguments(X, make_targets(X, 2), rule)
        assert_close(evidence(version, device, *args), reference.logme_evidence(*args))


def test_real_targets_of_any_size(version, device):
    X = make_features(90, 34)
    rng = np.random.default_rng(3)
    Y = X @ rng.normal(size=(34, 5)) * 10.0 ** np.arange(-6, 4, 2) + rng.normal(size=(90, 5))
    args = arguments(X, Y)
    # The last target is fitted so closely that its residual has lost six digits.
    assert_close(evidence(version, device, *args), reference.logme_evidence(*args), 1e-8)


@pytest.mark.parametrize(
    "kind", ["duplicate columns", "constant columns", "low rank", "badly scaled", "offset"]
)
@pytest.mark.parametrize("d", [20, 40], ids=["as it is", "rotated"])
def test_ill_conditioned_against_extended_precision(version, device, kind, d):
    X = rank_deficient(kind)
    Y = make_targets(X - X.mean(axis=0), 3)
    exact = exact_evidence(X, Y, DEFAULT)
    if d > 20:  # columns of zeros and a rotation change nothing but the rank and the panels
        rotation, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(d, d)))
        X = np.pad(X, ((0, 0), (0, d - 20))) @ rotation
    found = evidence(version, device, *arguments(X, Y)).evidences
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-7 if kind == "offset" else 1e-9)


@pytest.mark.parametrize("rule", ["evidence", "no epsilon", "warm start"])
@pytest.mark.parametrize("shape", [(70, 35), (35, 70)], ids=["primal", "dual"])
@pytest.mark.parametrize(
    "kind", ["no features", "no target", "exact fit", "tiny", "huge", "rank one"]
)
def test_degenerate_input_stays_finite(version, device, kind, shape, rule):
    X = make_features(*shape)
    Y = make_targets(X, 2)
    if kind == "no features":
        X = np.zeros(shape)
    elif kind == "no target":
        Y[:, 1] = 0.0
    elif kind == "exact fit":
        Y = X @ np.random.default_rng(2).normal(size=(shape[1], 2))
    elif kind == "tiny":
        X *= 1e-30
    elif kind == "huge":
        X *= 1e30
    elif kind == "rank one":
        X = np.outer(X[:, 0], X[0])
    found = evidence(version, device, *arguments(X, Y, RULES[rule]))
    for field in FIELDS:
        assert np.isfinite(getattr(found, field)).all(), field
    assert (found.alphas > 0).all() and (found.betas > 0).all()


def test_class_that_does_not_occur(version, device):
    X = make_features(80, 34)
    Y = make_targets(X, 3)
    Y[:, 1] = 0.0
    args = arguments(X, Y, RULES["rank only"])
    assert_close(evidence(version, device, *args), reference.logme_evidence(*args))


def test_no_targets(version, device):
    X = make_features(10, 4)
    found = evidence(version, device, *arguments(X, np.zeros((10, 0))))
    assert all(getattr(found, field).shape == (0,) for field in FIELDS)


def test_input_is_neither_changed_nor_needed_in_any_layout(version, device):
    X = make_features(60, 36)
    gram, moments, squares, *rest = arguments(X, make_targets(X, 3))
    expected = reference.logme_evidence(gram, moments, squares, *rest)
    wide = np.full((72, 72), np.inf)
    wide[::2, ::2] = gram
    layouts = [
        (np.asfortranarray(gram), np.asfortranarray(moments), squares[::-1].copy()[::-1]),
        (wide[::2, ::2], moments[::-1].copy()[::-1], squares),
    ]
    if device == "cpu":
        for arrays in layouts:
            before = [array.copy() for array in arrays]
            for array in arrays:
                array.flags.writeable = False
            found = version.logme_evidence(*arrays, *rest)
            assert_close(Evidence(*(getattr(found, f).numpy() for f in FIELDS)), expected)
            for array, old in zip(arrays, before, strict=True):
                np.testing.assert_array_equal(array, old)
    tensors = [torch.tensor(array, device=device) for array in (gram, moments, squares)]
    for layout in (tensors, [tensors[0].T.contiguous().T, tensors[1].T.contiguous().T, tensors[2]]):
        before = [tensor.clone() for tensor in layout]
        found = version.logme_evidence(*layout, *rest)
        assert_close(Evidence(*(getattr(found, f).cpu().numpy() for f in FIELDS)), expected)
        for tensor, old in zip(layout, before, strict=True):
            assert torch.equal(tensor.nan_to_num(), old.nan_to_num())


@pytest.mark.parametrize("shape", [(75, 70), (40, 65)], ids=["primal", "dual"])
def test_same_bits_again_and_in_any_order_of_threads(version, device, shape, monkeypatch):
    X = make_features(*shape)
    args = arguments(X, make_targets(X, 2), EvidenceRule(max_rounds=3))
    expected = evidence(version, device, *args)
    for order in ("forward", "backward", "1", "2"):
        monkeypatch.setenv("TRANSFER_KERNELS_HOST_ORDER", order)
        assert_same_bits(evidence(version, device, *args), expected)


def reduced(version, device, gram, moments):
    """Band and rotated moments^T."""
    size = len(gram)
    matrix = version.stacked(
        torch.tensor(gram, device=device), torch.tensor(moments, device=device)
    )
    kernels = version.module_for(matrix)
    version.reduce_to_band(matrix, kernels, version.current_stream(matrix))
    padded = matrix.shape[1]
    matrix = matrix.cpu().numpy()
    band = np.zeros((padded, padded))
    for i in range(0, padded, 32):
        here, there = slice(i, i + 32), slice(i + 32, i + 64)
        band[here, here] = matrix[here, here]
        if i + 32 < padded:
            band[here, there] = np.tril(matrix[here, there])
            band[there, here] = band[here, there].T
    assert not band[size:].any() and not matrix[padded:, size:].any()
    return band[:size, :size], matrix[padded:, :size]


@pytest.mark.parametrize("d", [33, 100, 260])
def test_reduction_is_orthogonal(version, device, d):
    X = make_features(300, d)
    gram, moments = X.T @ X, X.T @ make_targets(X, 3)
    moments = np.random.default_rng(4).normal(size=moments.shape)
    band, rotated = reduced(version, device, gram, moments)
    values, expected = np.linalg.eigvalsh(band), np.linalg.eigvalsh(gram)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-14 * expected.max())
    # Quadratic forms of the moments tie their rotation to that of the matrix.
    for power in range(3):
        np.testing.assert_allclose(
            rotated @ np.linalg.matrix_power(band, power) @ rotated.T,
            moments.T @ np.linalg.matrix_power(gram, power) @ moments,
            rtol=0,
            atol=1e-12 * np.linalg.norm(moments) ** 2 * expected.max() ** power,
        )


@pytest.mark.parametrize(
    "length, shared_kib",
    [(2432, 227), (1504, 99), (3712, 227)],
    ids=["in shared memory", "in global memory of a small GPU", "in global memory"],
)
def test_long_panel(version, device, length, shared_kib, monkeypatch):
    monkeypatch.setenv("TRANSFER_KERNELS_HOST_SHARED_KIB", str(shared_kib))
    rng = np.random.default_rng(0)
    size = length + 32
    panel = rng.normal(size=(32, length))
    panel[5] = 0.0  # no reflector of its own
    matrix = torch.zeros(size + 1, size, dtype=torch.float64, device=device)
    matrix[:32, 32:] = torch.tensor(panel)
    n_rows = length + 1
    factors = torch.full((96, n_rows), float("nan"), dtype=torch.float64, device=device)
    taus = torch.full((32,), float("nan"), dtype=torch.float64, device=device)
    kernels = version.module_for(matrix)
    reduction = kernels.LogmeReduction(
        matrix=matrix.data_ptr(), padded=size, n_targets=1, factors=factors.data_ptr(),
        products=factors.data_ptr(), taus=taus.data_ptr(), partials=0,
        stream=version.current_stream(matrix),
    )  # fmt: skip
    reduction.factor_panel(0)
    V, tau = factors[:32, :length].cpu().numpy(), taus.cpu().numpy()
    assert tau[5] == 0.0
    R = np.tril(matrix[:32, 32:64].cpu().numpy())
    for a in range(32):
        panel -= tau[a] * np.outer(panel @ V[a], V[a])
    np.testing.assert_allclose(panel[:, :32], R, rtol=0, atol=1e-11)
    np.testing.assert_allclose(panel[:, 32:], 0.0, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(60, 25), (7, 40)], ids=["primal", "dual"])
def test_the_largest_evidence(version, device, shape):
    X = make_features(*shape)
    args = arguments(X, make_targets(X, 3), LargestEvidence())
    assert_close(evidence(version, device, *args), reference.logme_evidence(*args), 1e-7)
