"""`self_challenging` by CUDA kernels: on the host, and on a GPU where there is one."""

import numpy as np
import pytest
from conftest import cuda_kernel_devices

from transfer_kernels.kernels.self_challenging import reference

torch = pytest.importorskip("torch")

from transfer_kernels.kernels.self_challenging import cuda_gpu  # noqa: E402

ORDER_VARIABLE = "TRANSFER_KERNELS_HOST_ORDER"
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Below, at and above what tiles and steps divide; classes of one tile and of several.
SHAPES = [
    (1, 1, 1),
    (2, 1, 2),
    (5, 3, 2),
    (128, 16, 128),
    (129, 17, 129),
    (40, 40, 300),
    (260, 5, 7),
]


@pytest.fixture(params=cuda_kernel_devices())
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Tensors that are made uninitialised hold NaN."""
    empty = torch.empty
    monkeypatch.setattr(
        torch, "empty", lambda *args, **kwargs: empty(*args, **kwargs).fill_(float("nan"))
    )


def problem(n, d, n_classes, dtype=torch.float64, scale=1.0):
    """Features, codes, coefficients, intercepts and a mix."""
    rng = np.random.default_rng(n + d)
    X = torch.from_numpy(rng.normal(size=(n, d))).to(dtype)
    codes = rng.integers(0, n_classes, n)
    coef = rng.normal(size=(n_classes, d)) * (scale / np.sqrt(d))
    mixing = rng.random(n), rng.normal(size=(n_classes, d))
    return X, codes, coef, scale * rng.normal(size=n_classes), mixing


def host(tensor):
    return tensor.double().cpu().numpy()


def assert_same(device, X, *arguments, rtol=1e-11):
    found = cuda_gpu.self_challenging(X.to(device), *arguments)
    expected = reference.self_challenging(host(X), *arguments)
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == torch.float64 and got.device.type == device
        np.testing.assert_allclose(host(got), want, rtol=rtol, atol=1e-300)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_shapes(device, shape, mixed):
    *arguments, mixing = problem(*shape)
    assert_same(device, *arguments, mixing if mixed else None)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_types_and_layouts(device, dtype):
    X, *arguments = problem(40, 24, 5, dtype)
    wide = torch.zeros(80, 72, dtype=dtype)
    wide[::2, ::3] = X
    for layout in (X, X.T.contiguous().T, wide[::2, ::3], X[3].expand(40, 24)):
        assert_same(device, layout, *arguments)


def test_several_chunks(device, monkeypatch):
    monkeypatch.setattr(cuda_gpu, "WORKSPACE_BYTES", 1)
    *arguments, mixing = problem(300, 9, 140)
    assert_same(device, *arguments, mixing)


@pytest.mark.parametrize("n_classes", [9, 140])
@pytest.mark.parametrize("scale", [1e2, 1e8])
def test_huge_discriminants(device, n_classes, scale):
    # Multiples of 1/64 make every product exact, so that only the softmaxes can differ.
    X, codes, coef, intercept, (shares, anchors) = problem(60, 10, n_classes, scale=scale)
    coef, intercept, anchors, shares = (
        np.round(array * 64) / 64 for array in (coef, intercept, anchors, shares)
    )
    X = torch.round(X * 64) / 64
    codes[:30] = np.argmax(host(X)[:30] @ coef.T + intercept, axis=1)
    for mixing in (None, (shares, anchors)):
        assert_same(device, X, codes, coef, intercept, mixing, rtol=1e-9)


@pytest.mark.parametrize("n_classes", [6, 130])
def test_exact_ties(device, n_classes):
    X, codes, coef, intercept, _ = problem(20, 8, n_classes)
    for part in cuda_gpu.self_challenging(X.to(device), codes, 0.0 * coef, 0.0 * intercept):
        np.testing.assert_allclose(host(part), 1.0 / n_classes, rtol=1e-13)


@pytest.mark.parametrize("order", ["forward", "backward", "1"])
def test_same_bits_in_any_order_of_threads_and_inputs_stay(device, order, monkeypatch):
    X, *arrays, mixing = problem(140, 20, 150, torch.float32)
    arguments = [X.to(device), *(torch.from_numpy(array).to(device) for array in arrays)]
    mixing = tuple(torch.from_numpy(part).to(device) for part in mixing)
    before = [argument.clone() for argument in (*arguments, *mixing)]
    first = cuda_gpu.self_challenging(*arguments, mixing)
    monkeypatch.setenv(ORDER_VARIABLE, order)
    second = cuda_gpu.self_challenging(*arguments, mixing)
    assert all(map(torch.equal, first, second))
    assert all(map(torch.equal, (*arguments, *mixing), before))
