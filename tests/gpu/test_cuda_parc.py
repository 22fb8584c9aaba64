"""PARC on GPUs: the CUDA kernels, run on the host or a GPU, and plain PyTorch, on any device."""

import numpy as np
import pytest
from conftest import cuda_kernel_devices
from test_parc_correlation import SHAPES, SPECIAL, assert_close, label_vectors, problem

from transfer_kernels.kernels.parc_correlation import native_cpu, reference

torch = pytest.importorskip("torch")

from transfer_kernels.kernels.parc_correlation import (  # noqa: E402
    cuda_gpu,
    tensor_ranks,
    torch_gpu,
)
from transfer_kernels.kernels.parc_correlation.tensor_rows import UnitRows  # noqa: E402

#: Few bins keep the kernels quick on the host, and so does a tolerance that needs few passes.
BINS = 1 << 16
LOOSE = 1e-6
ORDER_VARIABLE = "TRANSFER_KERNELS_HOST_ORDER"


KERNEL_DEVICES = cuda_kernel_devices()
TORCH_DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
VERSIONS = [(torch_gpu, device) for device in TORCH_DEVICES]
VERSIONS += [(cuda_gpu, device) for device in KERNEL_DEVICES]


def version_id(version):
    module, device = version
    return f"{module.__name__.rpartition('.')[2]}-{device}"


def on_the_cpu(fixture, versions, **options):
    """Let a test run with those of a fixture's versions that are on the CPU."""
    chosen = [version for version in versions if "cpu" in version]
    return pytest.mark.parametrize(fixture, chosen, indirect=True, **options)


class PoisonedTorch:
    """PyTorch, but that its uninitialised memory holds large numbers or NaN."""

    def __getattr__(self, name):
        return getattr(torch, name)

    @staticmethod
    def empty(*shape, dtype, device):
        worst = torch.iinfo(dtype).max if not dtype.is_floating_point else float("nan")
        return torch.full(shape, worst, dtype=dtype, device=device)


@pytest.fixture(autouse=True)
def poisoned_tensors(monkeypatch):
    monkeypatch.setattr(cuda_gpu, "torch", PoisonedTorch())


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors this small gain nothing from PyTorch's threads, which spin while they wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Version:
    """A module's functions on a device, with few bins and no pairs sorted outright."""

    def __init__(self, module, device):
        self.module, self.device = module, device

    def bounded(self, X, codes, **options):
        options = {"sort_limit": 0, "bins": BINS, "tolerance": LOOSE, **options}
        return self.module.bounded_correlation(self._placed(X), codes, **options)

    def by_default(self, X, codes):
        return self.module.parc_correlation(self._placed(X), codes)

    def vectors(self, X, Y, **options):
        return self.module.parc_correlation_vectors(self._placed(X), Y, **options)

    def _placed(self, X):
        # Arrays stay arrays where they can.
        return X if self.device == "cpu" else torch.as_tensor(np.array(X), device=self.device)


@pytest.fixture(params=VERSIONS, ids=version_id)
def version(request):
    return Version(*request.param)


@pytest.fixture(params=KERNEL_DEVICES)
def kernels(request):
    """The CUDA kernels' version."""
    return Version(cuda_gpu, request.param)


@pytest.mark.parametrize("shape", [*SHAPES, (128, 16, 3), (129, 17, 129)], ids=str)
def test_shapes(version, shape):
    X, codes = problem(*shape)
    value, bound = version.bounded(X, codes)
    assert bound <= LOOSE
    assert_close(value, reference.parc_correlation(X, codes), bound + 1e-14)


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("n_classes", [3])
def test_ties_and_degenerate_rows(version, name, n_classes):
    rng = np.random.default_rng(3)
    X = SPECIAL[name](rng)
    codes = rng.integers(0, n_classes, len(X))
    value, bound = version.bounded(X, codes)
    assert bound <= LOOSE
    assert_close(value, reference.parc_correlation(X, codes), bound + 1e-14)


@pytest.mark.parametrize("n_classes", [2, 7, 40])
def test_few_pairs_are_sorted(version, n_classes):
    X, codes = problem(150, 11, n_classes)
    X[100:] = X[:50]
    value, bound = version.bounded(X, codes, sort_limit=1 << 20)
    assert bound == 0.0
    assert_close(value, reference.parc_correlation(X, codes))
    assert version.by_default(X, codes) == value


@pytest.mark.exhaustive
@pytest.mark.parametrize("n_classes", [100])
def test_agrees_with_the_compiled_version(version, n_classes):
    """More pairs than are sorted, and all the bins there can be."""
    pytest.importorskip("transfer_kernels._native")
    X, codes = problem(2950, 16, n_classes)
    X = X.astype(np.float32)
    assert len(X) * (len(X) - 1) // 2 > torch_gpu.SORT_LIMIT
    assert_close(version.by_default(X, codes), native_cpu.parc_correlation(X, codes), 1e-9)


@pytest.mark.parametrize("codes", [np.zeros(9, int), np.arange(9)], ids=["one", "of one"])
def test_labels_that_all_agree_or_all_differ(version, codes):
    value, bound = version.bounded(problem(9, 4, 2)[0], codes)
    assert np.isnan(value) and bound == 0.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_types_and_layouts(version, dtype):
    X, codes = problem(140, 21, 7)
    X = torch.tensor(X).to(getattr(torch, dtype))
    expected = reference.parc_correlation(X.to(torch.float64).numpy(), codes)
    X = X.to(version.device)
    wide = torch.zeros(280, 63, dtype=X.dtype, device=X.device)
    wide[::2, ::3] = X
    for layout in X, X.T.contiguous().T, wide[::2, ::3]:
        before = layout.clone()
        value, bound = version.module.bounded_correlation(layout, codes, 0, BINS, LOOSE)
        assert_close(value, expected, bound + 1e-14)
        assert torch.equal(layout, before)


@on_the_cpu("version", VERSIONS, ids=version_id)
@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.float64])
def test_arrays(version, dtype):
    X = (3 * problem(90, 12, 4)[0]).astype(dtype)
    codes = np.arange(90) % 4
    broadcast = np.broadcast_to(X[:, 3:4], X.shape)
    for layout in (X, np.asfortranarray(X), X[::-1, ::-1], broadcast):
        layout.flags.writeable = False
        value, bound = version.bounded(layout, codes)
        expected = reference.parc_correlation(np.float64(layout), codes)
        assert_close(value, expected, bound + 1e-14)


@pytest.mark.parametrize("tolerance", [1e-12, 0.0])
@pytest.mark.parametrize("name", ["quantised", "concentrated", "offset"])
def test_bins_are_refined_to_the_tolerance(version, name, tolerance):
    rng = np.random.default_rng(5)
    X = SPECIAL[name](rng)
    codes = rng.integers(0, 3, len(X))
    value, bound = version.bounded(X, codes, tolerance=tolerance)
    assert bound <= tolerance
    assert_close(value, reference.parc_correlation(X, codes), bound + 1e-14)


def test_coarse_bins_are_refined_in_parts(version):
    """So few bins that those to refine do not fit into one level."""
    X, codes = problem(180, 8, 3)
    passes = []

    class Counter(getattr(version.module, "KeyCounter")):  # noqa: B009
        def __call__(self, levels):
            passes.append(len(levels))
            return super().__call__(levels)

    placed = version._placed(X)
    options = {"bins": tensor_ranks.FEWEST_BINS, "sort_limit": 0, "counter": Counter}
    value, bound = torch_gpu.bounded_correlation(placed, codes, tolerance=1e-10, **options)
    assert passes.count(2) > 1
    assert bound <= 1e-10
    assert_close(value, reference.parc_correlation(X, codes), bound)
    coarse, coarse_bound = torch_gpu.bounded_correlation(placed, codes, tolerance=1.0, **options)
    assert 1e-9 < abs(coarse - value) <= coarse_bound


def test_rows_in_stripes(version):
    X, codes = problem(700, 40, 5)
    together, _ = version.bounded(X, codes, bins=1 << 20)
    apart, bound = version.bounded(X, codes, bins=1 << 20, kept_bytes=1 << 18)
    # The kernels sum in one order whatever the stripes, a BLAS need not.
    assert_close(apart, together, 0 if version.module is cuda_gpu else bound)


def test_same_bits_twice(version):
    X, codes = problem(400, 9, 4)
    assert version.bounded(X, codes) == version.bounded(X, codes)


@pytest.fixture(params=TORCH_DEVICES)
def plain(request):
    """The plain PyTorch version, which serves label vectors everywhere."""
    return Version(torch_gpu, request.param)


def test_label_vectors_are_left_to_pytorch():
    assert cuda_gpu.parc_correlation_vectors is torch_gpu.parc_correlation_vectors


@pytest.mark.parametrize("kind", ["multi-label", "one-hot", "real", "constant"])
@pytest.mark.parametrize("n", [1, 2, 3, 40, 301])
def test_label_vectors(plain, kind, n):
    rng = np.random.default_rng(n)
    Y = label_vectors(kind, n, rng)
    X = rng.normal(size=(n, 9)) + Y[:, :1]
    expected = reference.parc_correlation_vectors(X, Y) if n > 1 else np.nan
    assert_close(plain.vectors(X, Y), expected, 1e-14)


@pytest.mark.parametrize("kind", ["multi-label", "real"])
@pytest.mark.parametrize("kinds_limit", [0, 10_000])
def test_many_label_vectors_in_bins(plain, kind, kinds_limit):
    rng = np.random.default_rng(0)
    Y = label_vectors(kind, 500, rng)
    X = rng.normal(size=(500, 9)) + Y[:, :1]
    expected = reference.parc_correlation_vectors(X, Y)
    options = {"sort_limit": 0, "kinds_limit": kinds_limit, "bins": 1 << 20}
    value = plain.vectors(X, 1e200 * Y, **options)
    assert_close(value, expected, 1e-7)
    assert_close(plain.vectors(X, Y, kept_bytes=1 << 13, **options), value, 1e-7)


def test_ranks_of_very_many_pairs():
    """Counts times a power of two, of 1e12 pairs, leave every bit of the coefficient."""
    counts = torch.tensor(np.random.default_rng(0).integers(0, 50, (2, BINS)))
    level = tensor_ranks.fitted_level(torch.ones(2, tensor_ranks.N_CELLS, dtype=torch.int64), BINS)

    def coefficient(factor):
        different, same = (factor * counts).sum(dim=1).tolist()
        value, _ = tensor_ranks.binned_correlation(
            lambda levels: factor * counts, level, same, different, BINS, tolerance=1.0
        )
        return value

    assert int(counts.sum()) << 20 > 10**12
    assert coefficient(1 << 20) == coefficient(1) != 0.0


def test_first_level_follows_the_sample():
    """Every cell has bins, in order, no more than allowed, most where most pairs are."""
    sample = torch.zeros(2, tensor_ranks.N_CELLS, dtype=torch.int64)
    sample[:, 900:1100] = torch.arange(1, 201)
    level = tensor_ranks.fitted_level(sample)
    width = 1 << (tensor_ranks.CELL_BITS - level.shift)
    assert torch.equal(level.first, torch.cumsum(width, 0) - width)
    assert tensor_ranks.BINS // 2 < width.sum() <= tensor_ranks.BINS
    assert width.min() >= 1 and width[1099] >= 16 * width[900]
    keys = torch.sort(torch.randint(0, (1 << 37) + 1, (10_000,))).values
    bins = level.bins_of(keys)
    assert bool((torch.diff(bins) >= 0).all())
    start, shift = level.refined(bins)
    assert bool(((start <= keys) & (keys < start + (1 << shift))).all())


# The kernels alone.


def counters(version, X, codes, bins=BINS):
    """The kernels' counter and plain PyTorch's, of the same pairs."""
    X = torch.as_tensor(X, device=version.device)
    codes = torch.as_tensor(codes, device=version.device)
    order = torch.arange(len(X), device=version.device)
    return [
        kind(UnitRows(X, order, multiples=kind.MULTIPLES), codes, bins)
        for kind in (cuda_gpu.KeyCounter, torch_gpu.KeyCounter)
    ]


@pytest.mark.parametrize("n", [2, 127, 128, 129, 300])
@pytest.mark.parametrize("n_classes", [1, 3, 250])
def test_counts(kernels, n, n_classes):
    X, codes = problem(n, 19, n_classes)
    by_kernels, by_torch = counters(kernels, X, codes)
    sample = by_torch.sample()
    assert torch.equal(by_kernels.sample(), sample)
    level = tensor_ranks.fitted_level(sample, BINS)
    counts = by_torch([level])
    assert counts.sum() == n * (n - 1) // 2
    assert torch.equal(by_kernels([level]), counts)
    for fewest in 4, 2:
        heavy = torch.nonzero(counts.sum(dim=0) >= fewest).flatten()[: BINS // 64]
        if not len(heavy):
            break
        levels = [level, tensor_ranks.refined_level(level, heavy, BINS)]
        assert torch.equal(by_kernels(levels), by_torch(levels))


@pytest.mark.parametrize("bins", [1 << 12, 1 << 15, 1 << 18])
@pytest.mark.parametrize("chunk", [1, 2, 4096])
def test_chunks_and_parts(kernels, monkeypatch, bins, chunk):
    monkeypatch.setattr(cuda_gpu, "CHUNK_TILES", chunk)
    by_kernels, by_torch = counters(kernels, *problem(290, 5, 3), bins)
    level = tensor_ranks.fitted_level(by_torch.sample(), bins)
    assert torch.equal(by_kernels([level]), by_torch([level]))


@pytest.mark.parametrize("bins", [1 << 14, 1 << 15, 1 << 18])
def test_gpus_with_less_shared_memory(kernels, monkeypatch, bins):
    """There two blocks share the counters of one part."""
    monkeypatch.setenv("TRANSFER_KERNELS_HOST_SHARED_KIB", "99")
    by_kernels, by_torch = counters(kernels, *problem(290, 5, 3), bins)
    level = tensor_ranks.fitted_level(by_torch.sample(), bins)
    assert torch.equal(by_kernels([level]), by_torch([level]))


def test_chunks_fit_into_what_is_free():
    assert cuda_gpu.chunk_tiles(float("inf")) == cuda_gpu.CHUNK_TILES
    for free in (1 << 20, 1 << 28, 1 << 30, 1 << 40):
        tiles = cuda_gpu.chunk_tiles(free)
        assert cuda_gpu.FEWEST_TILES <= tiles <= cuda_gpu.CHUNK_TILES
        assert tiles == cuda_gpu.FEWEST_TILES or 4 * 32768 * tiles <= free
    assert cuda_gpu.chunk_tiles(1 << 30) == 8192


def test_counts_beyond_32_bits(kernels, monkeypatch):
    """The counts of a chunk are added to what is there, with all their bits."""
    X, codes = problem(140, 5, 3)
    by_kernels, by_torch = counters(kernels, X, codes)
    level = tensor_ranks.fitted_level(by_torch.sample(), BINS)
    expected = by_torch([level])
    there = (1 << 32) - 1

    class PreviousCounts(PoisonedTorch):
        @staticmethod
        def zeros(*shape, dtype, device):
            return torch.full(shape, there, dtype=dtype, device=device)

    monkeypatch.setattr(cuda_gpu, "torch", PreviousCounts())
    assert torch.equal(by_kernels([level]), expected + there)


def test_chunks_that_could_overflow_a_counter_are_refused(kernels):
    from transfer_kernels.kernels.cuda_runtime import module_for

    module = module_for(torch.empty(0, device=kernels.device))
    stripe = (0, 0, 1)
    with pytest.raises(ValueError, match="chunk_tiles"):
        module.count_pairs(
            stripe, stripe, depth=16, diagonal=True, cells=0, refined=[], bin_bits=16,
            chunk_tiles=1 << 18, entries=0, starts=0, counts=0, stream=0,
        )  # fmt: skip


def test_constants_are_those_of_the_kernels(kernels):
    from transfer_kernels.kernels.cuda_runtime import module_for

    module = module_for(torch.empty(0, device=kernels.device))
    assert cuda_gpu.PAIR_TILE == module.PAIR_TILE
    assert cuda_gpu.FEATURE_STEP == module.FEATURE_STEP
    assert tensor_ranks.CELL_BITS == module.CELL_BITS


@on_the_cpu("kernels", KERNEL_DEVICES)
@pytest.mark.parametrize("order", ["backward", "7", "8"])
def test_order_of_the_threads_does_not_matter(kernels, monkeypatch, order):
    """Only the host execution layer can be told one."""
    X, codes = problem(200, 20, 6)
    X[150:] = X[:50]
    expected = kernels.bounded(X, codes)
    monkeypatch.setenv(ORDER_VARIABLE, order)
    assert kernels.bounded(X, codes) == expected


def test_duplicate_rows_tie_in_any_tile(kernels):
    """All their distances have one key, in whatever tile and warp they are multiplied."""
    row = np.random.default_rng(0).normal(size=(3, 50))
    X = np.concatenate([row[[0] * 200], row[1:]])
    codes = np.arange(202) % 2
    by_kernels, _ = counters(kernels, X, codes)
    counts = by_kernels([tensor_ranks.uniform_level(kernels.device)])
    groups = counts.sum(dim=0)
    assert sorted(groups[groups > 0].tolist()) == sorted([1, 200, 200, 200 * 199 // 2])
