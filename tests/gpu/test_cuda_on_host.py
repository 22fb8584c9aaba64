"""The CUDA kernels' language and fisher_scatter: on the host, and on a GPU where there is one.

On the host each thread of a block is a fiber, and the order in which fibers and blocks run can be
chosen: what depends on it is a race.
"""

import numpy as np
import pytest
from conftest import cuda_kernel_devices

torch = pytest.importorskip("torch")
on_host = pytest.importorskip("transfer_kernels._cuda_on_host")

from transfer_kernels.kernels import cuda_runtime  # noqa: E402
from transfer_kernels.kernels.fisher_scatter import cuda_gpu, reference  # noqa: E402

ORDER = "TRANSFER_KERNELS_HOST_ORDER"
ORDERS = ["forward", "backward", "1", "2", "3"]
MISTAKES = on_host.Mistake
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.fixture(params=cuda_kernel_devices())
def device(request):
    return request.param


@pytest.fixture(params=ORDERS)
def order(request, monkeypatch):
    monkeypatch.setenv(ORDER, request.param)


@pytest.fixture
def poisoned(monkeypatch):
    """Tensors that are made uninitialised hold NaN."""
    empty = torch.empty

    def poisoned_empty(*args, **kwargs):
        tensor = empty(*args, **kwargs)
        return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", poisoned_empty)


def kernels(device):
    return cuda_runtime.module_for(torch.empty(0, device=device))


def host(tensor):
    return tensor.cpu().numpy()


# The language.


@pytest.mark.parametrize("small", [False, True])
def test_product(device, order, small):
    rows, depth = (8, 4) if small else (16, 8)
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=shape) for shape in ((rows, depth), (depth, 8), (rows, 8)))
    left, right, sums = (torch.tensor(matrix, device=device) for matrix in (a, b, c))
    kernels(device).check_product(left.data_ptr(), right.data_ptr(), sums.data_ptr(), small, 0)
    np.testing.assert_allclose(host(sums), c + a @ b, rtol=0, atol=1e-14)


def test_warp_functions(device, order):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 999_999, 32)
    out = torch.full((10, 32), -1, device=device)
    given = torch.tensor(values, device=device)
    kernels(device).check_warp_functions(given.data_ptr(), out.data_ptr(), 0)
    lane = np.arange(32)
    down = np.where(lane % 8 < 4, lane + 4, lane)
    votes = sum(1 << i for i in lane if values[i] % 3 == 0)
    same = [sum(1 << i for i in lane if values[i] % 5 == v % 5) for v in values]
    halves = np.where(lane < 16, lane ^ 2, lane ^ 9)
    bits = [
        int(v).bit_count() + 100 * (32 - int(v).bit_length()) + 10000 * (int(v & -v).bit_length())
        for v in values
    ]
    expected = [
        values[(lane * 7 + 3) % 32],
        values[lane ^ 5],
        values[np.where(lane < 3, lane, lane - 3)],
        values[down],
        values[lane ^ 1],
        np.full(32, votes),
        np.full(32, (7 in values) + 2),
        same,
        values[halves],
        bits,
    ]
    for row, (got, want) in enumerate(zip(host(out), expected, strict=True)):
        np.testing.assert_array_equal(got, want, err_msg=f"function {row}")


def test_halves(device):
    halves = torch.empty(1 << 16, dtype=torch.float64, device=device)
    bfloats = torch.empty_like(halves)
    kernels(device).check_halves(halves.data_ptr(), bfloats.data_ptr(), 0)
    bits = np.arange(1 << 16, dtype=np.uint16)
    np.testing.assert_array_equal(host(halves), bits.view(np.float16).astype(float))
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # signalling NaN
        np.testing.assert_array_equal(host(bfloats), wide.astype(float))


def test_atomics(device, order):
    in_blocks = torch.zeros(5, dtype=torch.int32, device=device)
    total = torch.zeros(1, dtype=torch.int64, device=device)
    kernels(device).check_atomics(5, in_blocks.data_ptr(), total.data_ptr(), 0)
    assert in_blocks.tolist() == [96] * 5 and total.item() == 5 * 96


# What the host refuses or shows.


def make_mistake(mistake):
    out = torch.zeros(64, dtype=torch.float64)
    on_host.make_mistake(mistake, out.data_ptr())
    return out


@pytest.mark.parametrize(
    "mistake, message",
    [
        (MISTAKES.missed_barrier, "deadlock in block .* 32 threads wait in the warp function"),
        (MISTAKES.two_barriers, "deadlock in block .* 32 threads wait at the barrier .* 32 thr"),
        (MISTAKES.missed_lanes, "deadlock in block .* threads wait in the warp function"),
        (MISTAKES.returned_lanes, "deadlock in block .* 32 threads have returned"),
        (MISTAKES.foreign_lane, "a shuffle from a lane that is not there, at .*device_check.cu"),
        (MISTAKES.too_much_memory, "more shared memory than a block can have"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_mistakes_are_refused(order, mistake, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        make_mistake(mistake)
    test_atomics("cpu", None)  # the next launch finds nothing of it


def test_a_race_shows_in_another_order(monkeypatch):
    results = set()
    for order in ORDERS:
        monkeypatch.setenv(ORDER, order)
        results.add(make_mistake(MISTAKES.race).numpy().tobytes())
    assert len(results) == len(ORDERS)


def test_shared_memory_starts_poisoned(order):
    assert make_mistake(MISTAKES.never_written).isnan().all()


def test_unknown_order_is_refused(monkeypatch):
    for order in ("sideways", "-1", "12345678901"):
        monkeypatch.setenv(ORDER, order)
        with pytest.raises(ValueError, match="neither forward, backward nor a seed"):
            make_mistake(MISTAKES.race)


# The schedule of tiles.


def jobs_of_all(side, steps, most_blocks, least_steps):
    jobs = []
    for block in range(most_blocks):
        jobs.append(on_host.check_schedule(side, steps, most_blocks, least_steps, block))
    return jobs


@pytest.mark.parametrize("most_blocks", [1, 2, 6, 7, 132])
@pytest.mark.parametrize("side, steps", [(1, 1), (1, 500), (2, 9), (3, 40), (5, 7), (16, 3125)])
def test_schedule_covers_the_triangle_once(side, steps, most_blocks):
    jobs = jobs_of_all(side, steps, most_blocks, 8)
    ranges, slots = {}, []
    for block in jobs:
        for row, column, first, last, slot in block:
            ranges.setdefault((row, column), []).append((first, last))
            slots += [slot] if slot >= 0 else []
    assert set(ranges) == {(i, j) for j in range(side) for i in range(j + 1)}
    for parts in ranges.values():
        parts.sort()
        assert parts[0][0] == 0 and parts[-1][1] == steps
        assert all(a[1] == b[0] for a, b in zip(parts, parts[1:], strict=False))
    assert len(set(slots)) == len(slots) and all(s < 2 * most_blocks for s in slots)
    work = [sum(job[3] - job[2] for job in block) for block in jobs if block]
    assert max(work) - min(work) <= 1 or most_blocks == 1


def test_schedule_of_many_steps():
    steps = (1 << 35) // 16  # of 2^35 samples
    work = [
        [job[3] - job[2] for job in on_host.check_schedule(700, steps, 132, 8, block)]
        for block in (0, 63, 131)
    ]
    expected = 700 * 701 // 2 * steps // 132
    assert all(abs(sum(block) - expected) <= 1 for block in work)


# fisher_scatter.


def problem(n, d, n_classes, dtype=torch.float64, device="cpu", seed=0):
    """Features, codes of which some classes stay empty, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    X = torch.from_numpy(rng.normal(size=(n, d)) * rng.uniform(0.1, 3.0, d) + 0.5)
    codes = rng.integers(0, max(1, n_classes - n_classes // 4), n)
    weights = rng.random(n) * (rng.random(n) > 0.2)
    return X.to(device, dtype), codes, weights


def assert_same(actual, expected, tolerance=1e-12):
    """Every array close to the expected one, relative to its largest entry."""
    for name in ("shift", "counts", "shifted_sums", "root_counts", "shifted_root_sums"):
        got, want = host(getattr(actual, name)), getattr(expected, name)
        assert got.dtype == np.float64 and got.shape == want.shape
        assert np.abs(got - want).max() <= tolerance * np.abs(want).max(), name
    got, want = np.triu(host(actual.shifted_gram)), np.triu(expected.shifted_gram)
    scale = np.sqrt(np.diag(want))
    assert (np.abs(got - want) <= tolerance * np.outer(scale, scale)).all()


def expected_of(X, codes, n_classes, weights, shift):
    return reference.fisher_scatter(host(X.double()), codes, n_classes, weights, host(shift))


def bits(scatter):
    parts = (scatter.counts, scatter.shifted_sums, scatter.shifted_gram.triu())
    parts += (scatter.root_counts, scatter.shifted_root_sums)
    return b"".join(host(part).tobytes() for part in parts)


def check(X, codes, n_classes, weights):
    scatter = cuda_gpu.fisher_scatter(X, codes, n_classes, weights)
    for tensor in vars(scatter).values():
        assert tensor.device == X.device
    assert_same(scatter, expected_of(X, codes, n_classes, weights, scatter.shift))
    return scatter


# Below, at and above what tiles, steps and chunks divide.
SHAPES = [
    (1, 1, 1), (2, 3, 5), (16, 128, 3), (17, 129, 4), (193, 64, 10), (257, 40, 300), (90, 300, 7),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_shapes(device, poisoned, shape, weighted):
    X, codes, weights = problem(*shape, device=device)
    check(X, codes, shape[2], weights if weighted else None)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_types_and_layouts(device, poisoned, dtype):
    n, d = 50, 70
    X, codes, weights = problem(n, d, 6, dtype, device)
    wide = torch.full((2 * n, 3 * d), float("nan"), dtype=dtype, device=device)
    wide[::2, ::3] = X
    odd = torch.full((n * d + 1,), float("nan"), dtype=dtype, device=device)
    odd[1:] = X.flatten()
    layouts = {
        "C": X,
        "Fortran": X.T.contiguous().T,
        "stepped": wide[::2, ::3],
        "off by one element": odd[1:].view(n, d),
        "one row repeated": X[3].expand(n, d),
        "one column repeated": X[:, 3:4].expand(n, d),
        "overlapping": X.flatten().as_strided((n, d), (d // 2, 1)),
    }
    for name, layout in layouts.items():
        before = layout.clone()
        scatter = cuda_gpu.fisher_scatter(layout, codes, 6, weights, np.full(d, 0.25))
        assert_same(scatter, expected_of(layout, codes, 6, weights, scatter.shift)), name
        assert torch.equal(layout, before)


def test_order_of_threads_and_blocks(monkeypatch, poisoned):
    X, codes, weights = problem(100, 140, 5, torch.float32)
    results = set()
    for order in ORDERS:
        monkeypatch.setenv(ORDER, order)
        results.add(bits(cuda_gpu.fisher_scatter(X, codes, 5, weights)))
    assert len(results) == 1


class WithBlocks:
    """The kernels of a module, with another number of multiprocessors."""

    def __init__(self, module, n_blocks):
        self._module = module
        self.multiprocessor_count = lambda: n_blocks

    def __getattr__(self, name):
        return getattr(self._module, name)


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 4, 7, 40])
def test_blocks(device, poisoned, monkeypatch, n_blocks):
    monkeypatch.setattr(cuda_gpu, "module_for", lambda X: WithBlocks(kernels(device), n_blocks))
    X, codes, weights = problem(301, 150, 4, torch.float32, device)
    check(X, codes, 4, weights)


def test_rows_and_columns_beyond_32_bits(device):
    step, far, near = 1 << 26, 34, 5  # 4 GiB, of which few pages are touched
    memory = torch.empty(step * far, dtype=torch.float16, device=device)
    values, _, weights = problem(far, near, 3, torch.float16, device)
    tall = memory.as_strided((far, near), (step, 1))
    tall.copy_(values)
    check(tall, np.arange(far) % 3, 3, weights)
    check(tall.T, np.arange(near) % 3, 3, weights[:near])


def test_offset_costs_no_digits(device):
    X, codes, _ = problem(300, 20, 4, device=device)
    scatter = cuda_gpu.fisher_scatter(X + 1e3, codes, 4)
    centred = host(X + 1e3) - host(X + 1e3).mean(axis=0)
    exact = centred.T @ centred / len(X)
    total = host(scatter.total())
    assert np.abs(total - exact).max() <= 1e-12 * np.abs(exact).max()


def test_same_bits_again_and_inputs_stay(device, poisoned):
    X, codes, weights = problem(200, 130, 9, torch.float32, device)
    codes, weights = torch.tensor(codes, device=device), torch.tensor(weights, device=device)
    shift = X.double().mean(dim=0)
    inputs = (X, codes, weights, shift)
    before = [tensor.clone() for tensor in inputs]
    once = cuda_gpu.fisher_scatter(*inputs[:2], 9, *inputs[2:])
    again = cuda_gpu.fisher_scatter(*inputs[:2], 9, *inputs[2:])
    assert bits(once) == bits(again)
    for tensor, copy in zip(inputs, before, strict=True):
        assert torch.equal(tensor, copy)
        for result in vars(once).values():
            assert result.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()


def test_binding_refuses_what_does_not_fit():
    X = torch.zeros(3, 2, dtype=torch.float64)
    fits = {name: X.data_ptr() for name in ("order", "codes", "starts", "weights", "shift")}
    fits |= {name: X.data_ptr() for name in ("workspace", "gram", "sums", "counts")}
    fits |= {"n_classes": 2, "weighted": False, "n_blocks": 1, "stream": 0}
    matrix = cuda_runtime.matrix(X)
    for changed in ({"n_classes": 0}, {"n_blocks": 0}):
        with pytest.raises(ValueError):
            on_host.fisher_scatter(matrix, **{**fits, **changed})
    for wrong in ((0, *matrix[1:]), (matrix[0], 4, *matrix[2:]), (*matrix[:2], 0, *matrix[3:])):
        with pytest.raises(ValueError):
            on_host.fisher_scatter(wrong, **fits)
    with pytest.raises(ValueError):
        cuda_runtime.address(X.T)


def test_gpu_module_imports_without_a_driver():
    module = pytest.importorskip("transfer_kernels._cuda")
    if torch.cuda.is_available():
        assert module.device_problem() is None and module.device_count() > 0
    else:
        assert module.device_problem() and module.device_count() == 0
        with pytest.raises(RuntimeError):
            module.multiprocessor_count()
