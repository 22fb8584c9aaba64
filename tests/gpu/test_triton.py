"""The Triton kernels against the definitions: on a GPU if there is one, else in the interpreter."""

import math
import mmap
import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if find_spec("triton") is None:
    pytest.skip("the package triton is not installed", allow_module_level=True)

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"
if not HAS_GPU and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"  # read once, when Triton is imported

from transfer_kernels.kernels import triton_runtime  # noqa: E402
from transfer_kernels.kernels.first_nonfinite import triton_gpu as first_nonfinite  # noqa: E402
from transfer_kernels.kernels.fisher_scatter import default_shift  # noqa: E402
from transfer_kernels.kernels.fisher_scatter import reference as scatter_definition  # noqa: E402
from transfer_kernels.kernels.fisher_scatter import triton_gpu as fisher_scatter  # noqa: E402
from transfer_kernels.kernels.logme_evidence import EvidenceRule  # noqa: E402
from transfer_kernels.kernels.logme_evidence import reference as evidence_definition  # noqa: E402
from transfer_kernels.kernels.logme_evidence import triton_gpu as logme_evidence  # noqa: E402
from transfer_kernels.kernels.parc_correlation import (  # noqa: E402
    reference as parc_definition,
)
from transfer_kernels.kernels.parc_correlation import tensor_ranks  # noqa: E402
from transfer_kernels.kernels.parc_correlation import torch_gpu as parc_by_torch  # noqa: E402
from transfer_kernels.kernels.parc_correlation import triton_gpu as parc_correlation  # noqa: E402
from transfer_kernels.kernels.parc_correlation.tensor_rows import UnitRows  # noqa: E402
from transfer_kernels.kernels.self_challenging import (  # noqa: E402
    reference as challenge_definition,
)
from transfer_kernels.kernels.self_challenging import triton_gpu as self_challenging  # noqa: E402

if not HAS_GPU and not triton_runtime.is_interpreted():
    pytest.skip("Triton was imported without TRITON_INTERPRET=1", allow_module_level=True)

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
#: Bounds of the Gram matrix's error, relative to the features' norms. In single precision every
#: product has a few roundings to float32. Their sums over sixteen or thirty-two rows have more:
#: tensor cores cut off where they add, up to an ulp of 2^-23 each time, and three products, eight
#: rows at a time, make six to twelve additions, all to the same side on the diagonal. Twice that.
GRAM_ERROR = {"float64": 1e-12, "float32": 32 * 2.0**-23}


@pytest.fixture(autouse=True)
def poisoned_workspaces(monkeypatch):
    """Let uninitialised memory be NaN, so that reading it before writing shows."""
    empty = torch.empty

    def poisoned(*args, **kwargs):
        made = empty(*args, **kwargs)
        return made.fill_(math.nan) if made.is_floating_point() else made

    monkeypatch.setattr(torch, "empty", poisoned)


def there(array, dtype=None):
    """Tensor of the array on the device under test."""
    return torch.from_numpy(np.array(array)).to(device=DEVICE, dtype=dtype)


def host(tensor):
    """float64 array of a tensor."""
    return tensor.detach().to("cpu", torch.float64).numpy()


def in_layouts(X):
    """The same matrix in memory laid out in different ways, by name."""
    n, d = X.shape
    wide = torch.zeros(2 * n, 3 * d, dtype=X.dtype, device=X.device)
    wide[::2, ::3] = X
    padded = torch.zeros(n, d + 3, dtype=X.dtype, device=X.device)
    padded[:, 1 : d + 1] = X
    return {
        "rows": X.contiguous(),
        "transposed": X.T.contiguous().T,
        "stepped": wide[::2, ::3],
        "unaligned rows": padded[:, 1 : d + 1],
    }


def beyond_32_bits(n, d, row_stride, column_stride):
    """(n, d) float32 tensor over reserved memory of which only the entries are ever touched."""
    n_bytes = 4 * ((n - 1) * row_stride + (d - 1) * column_stride + 1)
    if HAS_GPU:
        if n_bytes > torch.cuda.mem_get_info()[0] // 2:
            pytest.skip(f"needs {n_bytes} bytes on the GPU")
        memory = torch.zeros(n_bytes // 4, dtype=torch.float32, device=DEVICE)
    else:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
        memory = torch.frombuffer(mmap.mmap(-1, n_bytes, flags=flags), dtype=torch.float32)
    X = memory.as_strided((n, d), (row_stride, column_stride))
    X.copy_(torch.from_numpy(np.random.default_rng(7).normal(size=(n, d))))
    return X


@pytest.fixture
def no_copies_back(monkeypatch):
    """The interpreter copies each argument's whole memory back, here onto itself: leave it."""
    if not HAS_GPU:
        from triton.runtime.interpreter import GridExecutor

        monkeypatch.setattr(GridExecutor, "_restore_args_dev", lambda *args: None)


FAR = [(1 << 30, 1), (3, 1 << 29)]


class TestFisherScatter:
    # Below, at and above what tiles, steps, segments and column blocks divide.
    SHAPES = [
        (1, 1, 1), (2, 1, 2), (2, 3, 5), (33, 7, 3), (64, 64, 10), (300, 65, 7), (270, 127, 2),
        (20, 129, 9),
    ]  # fmt: skip

    @staticmethod
    def problem(n, d, n_classes, dtype=torch.float64, offset=0.0):
        """Features, codes of which some classes stay empty, and weights of which some are zero."""
        rng = np.random.default_rng(n * d)
        X = rng.normal(size=(n, d)) * rng.uniform(0.1, 3.0, d) + offset
        codes = rng.integers(0, max(1, n_classes - n_classes // 4), n)
        weights = rng.random(n) * (rng.random(n) > 0.2)
        return there(X, dtype), codes, weights

    @staticmethod
    def assert_same(found, expected, precision="float64"):
        for name in ("shift", "counts", "shifted_sums", "root_counts", "shifted_root_sums"):
            got, want = getattr(found, name), getattr(expected, name)
            assert got.dtype == torch.float64 and got.device.type == DEVICE
            assert got.shape == want.shape
            assert np.abs(host(got) - want).max() <= 1e-12 * np.abs(want).max(), name
        got, want = np.triu(host(found.shifted_gram)), np.triu(expected.shifted_gram)
        scale = np.sqrt(np.diag(want))
        assert (np.abs(got - want) <= GRAM_ERROR[precision] * np.outer(scale, scale)).all()

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    @pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
    def test_shapes(self, shape, weighted):
        X, codes, weights = self.problem(*shape)
        weights = weights if weighted else None
        shift = host(default_shift(X))
        expected = scatter_definition.fisher_scatter(host(X), codes, shape[2], weights, shift)
        self.assert_same(fisher_scatter.fisher_scatter(X, codes, shape[2], weights), expected)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("precision", fisher_scatter.PRECISIONS)
    def test_types_layouts_and_precisions(self, dtype, precision):
        X, codes, weights = self.problem(50, 24, 4, dtype, offset=5.0)
        shift = np.linspace(4.0, 6.0, 24)
        expected = scatter_definition.fisher_scatter(host(X), codes, 4, weights, shift)
        for layout in in_layouts(X).values():
            found = fisher_scatter.fisher_scatter(layout, codes, 4, weights, shift, precision)
            self.assert_same(found, expected, precision)
            if precision == "float32":
                assert not torch.equal(
                    found.shifted_gram.triu(), there(expected.shifted_gram).triu()
                )

    @pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
    def test_halves_in_several_blocks(self, dtype, monkeypatch):
        monkeypatch.setattr(triton_runtime, "WIDENED_ELEMENTS", 20 * 24)
        X, codes, weights = self.problem(50, 24, 4, dtype)
        shift = np.linspace(-1.0, 1.0, 24)
        for chosen in (None, weights):
            expected = scatter_definition.fisher_scatter(host(X), codes, 4, chosen, shift)
            self.assert_same(fisher_scatter.fisher_scatter(X, codes, 4, chosen, shift), expected)

    @pytest.mark.parametrize("precision", fisher_scatter.PRECISIONS)
    def test_large_tiles(self, precision):
        n, d = 21, fisher_scatter.NARROW + 8
        assert fisher_scatter.tiling(precision, 4, d).LEFT == 128
        X, codes, weights = self.problem(n, d, 2, torch.float32)
        assert triton_runtime.vector_width(X) == 4
        expected = scatter_definition.fisher_scatter(
            host(X), codes, 2, weights, host(default_shift(X))
        )
        found = fisher_scatter.fisher_scatter(X, codes, 2, weights, precision=precision)
        self.assert_same(found, expected, precision)

    @pytest.mark.parametrize("repeated", [0, 1], ids=["row", "column"])
    def test_stride_zero(self, repeated):
        X, codes, weights = self.problem(50, 20, 3, torch.float32)
        X = (X[3] if repeated == 0 else X[:, 3:4]).expand(50, 20)
        shift = np.full(20, 0.125)
        expected = scatter_definition.fisher_scatter(host(X), codes, 3, weights, shift)
        self.assert_same(fisher_scatter.fisher_scatter(X, codes, 3, weights, shift), expected)

    @pytest.mark.parametrize("precision", fisher_scatter.PRECISIONS)
    def test_offset_costs_no_digits(self, precision):
        X, codes, _ = self.problem(200, 30, 4, torch.float32, offset=1e3)
        exact = host(X) - host(X).mean(axis=0)
        exact = exact.T @ exact / len(exact)
        scatter = fisher_scatter.fisher_scatter(X, codes, 4, precision=precision)
        gram, sums = np.triu(host(scatter.shifted_gram)), host(scatter.shifted_sums)
        mean = sums.sum(axis=0) / len(X)
        found = (gram + np.triu(gram, 1).T) / len(X) - np.outer(mean, mean)
        assert np.abs(found - exact).max() <= GRAM_ERROR[precision] * np.abs(exact).max()

    def test_classes_longer_than_a_segment(self, monkeypatch):
        monkeypatch.setattr(fisher_scatter, "SEGMENT_ROWS", 16)
        X, codes, weights = self.problem(150, 10, 3)
        codes[:100] = 1
        shift = np.zeros(10)
        expected = scatter_definition.fisher_scatter(host(X), codes, 6, weights, shift)
        found = fisher_scatter.fisher_scatter(X, codes, 6, weights, shift)
        self.assert_same(found, expected)
        assert (host(found.counts)[4:] == 0.0).all()

    def test_more_ranges_than_rows_to_fill_them(self, monkeypatch):
        monkeypatch.setattr(fisher_scatter, "choose_splits", lambda *args: 6)
        X, codes, weights = self.problem(50, 10, 3)
        shift = np.zeros(10)
        expected = scatter_definition.fisher_scatter(host(X), codes, 3, weights, shift)
        self.assert_same(fisher_scatter.fisher_scatter(X, codes, 3, weights, shift), expected)

    def test_splits_fill_the_device(self):
        for n, d in [(50_000, 2048), (50_000, 64), (1_000_000, 256), (3000, 8192), (5, 5)]:
            cut = fisher_scatter.tiling("float64", 4, d)
            tiles = fisher_scatter.n_tiles(d, cut)
            splits = fisher_scatter.choose_splits(n, tiles, 132, cut.ROWS)
            waves = tiles * splits / 132
            assert math.ceil(waves) <= 1.15 * waves or n < 4000
            workspace = splits * tiles * cut.LEFT * cut.RIGHT
            assert workspace <= 16 * d * (d + cut.LEFT) or splits * tiles <= 132

    @pytest.mark.parametrize("precision", fisher_scatter.PRECISIONS)
    def test_same_bits_and_inputs_stay(self, precision):
        X, codes, weights = self.problem(90, 70, 5, torch.float32)
        shift = np.linspace(-1.0, 1.0, 70)
        arguments = X, there(codes), there(weights), there(shift)
        before = [argument.clone() for argument in arguments]
        first, second = (
            fisher_scatter.fisher_scatter(X, arguments[1], 5, *arguments[2:], precision)
            for _ in range(2)
        )
        for name, value in vars(first).items():
            other = getattr(second, name)
            assert torch.equal(value.triu() if name == "shifted_gram" else value,
                               other.triu() if name == "shifted_gram" else other)  # fmt: skip
            for argument in arguments:
                assert value.untyped_storage().data_ptr() != argument.untyped_storage().data_ptr()
        for argument, copy in zip(arguments, before, strict=True):
            assert torch.equal(argument, copy)

    def test_unknown_precision_is_refused(self):
        X, codes, _ = self.problem(5, 2, 2)
        with pytest.raises(ValueError, match="precision='half'"):
            fisher_scatter.fisher_scatter(X, codes, 2, precision="half")

    @pytest.mark.parametrize("strides", FAR, ids=["rows", "columns"])
    def test_offsets_beyond_32_bits(self, strides, no_copies_back):
        X = beyond_32_bits(*((3, 8) if strides[1] == 1 else (3, 5)), *strides)
        codes = np.array([1, 0, 1])
        expected = scatter_definition.fisher_scatter(host(X), codes, 2)
        self.assert_same(fisher_scatter.fisher_scatter(X, codes, 2), expected)


class TestSelfChallenging:
    # Below, at and above what the tiles divide; from one tile of classes to several.
    SHAPES = [
        (1, 1, 1), (2, 1, 2), (5, 3, 2), (64, 16, 64), (65, 17, 65), (70, 40, 128), (66, 20, 129),
        (30, 9, 300),
    ]  # fmt: skip

    @staticmethod
    def problem(n, d, n_classes, dtype=torch.float64, scale=1.0):
        rng = np.random.default_rng(n + d)
        X = there(rng.normal(size=(n, d)), dtype)
        codes = rng.integers(0, n_classes, n)
        coef = rng.normal(size=(n_classes, d)) * (scale / np.sqrt(d))
        intercept = rng.normal(size=n_classes) * scale
        return X, codes, coef, intercept, (rng.random(n), rng.normal(size=(n_classes, d)))

    @staticmethod
    def assert_same(X, *arguments):
        found = self_challenging.self_challenging(X, *arguments)
        expected = challenge_definition.self_challenging(host(X), *arguments)
        for got, want in zip(found, expected, strict=True):
            assert got.dtype == torch.float64 and got.device.type == DEVICE
            np.testing.assert_allclose(host(got), want, rtol=1e-11, atol=1e-300)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    @pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
    def test_shapes(self, shape, mixed):
        *arguments, mixing = self.problem(*shape)
        self.assert_same(*arguments, mixing if mixed else None)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_types_and_layouts(self, dtype):
        X, *arguments = self.problem(40, 24, 5, dtype)
        for layout in in_layouts(X).values():
            self.assert_same(layout, *arguments)
        self.assert_same(X[3].expand(40, 24), *arguments)

    @pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
    def test_halves_in_several_blocks(self, dtype, monkeypatch):
        monkeypatch.setattr(triton_runtime, "WIDENED_ELEMENTS", 16 * 24)
        *arguments, mixing = self.problem(40, 24, 5, dtype)
        self.assert_same(*arguments)
        self.assert_same(*arguments, mixing)

    @pytest.mark.parametrize("n_classes", [9, 140])
    @pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])
    def test_huge_discriminants(self, n_classes, scale):
        # Multiples of 1/64 make every product exact, so that only the softmaxes can differ.
        X, codes, *arguments = self.problem(60, 10, n_classes, scale=scale)
        coef, intercept, (shares, anchors) = arguments
        X = torch.round(X * 64) / 64
        coef, intercept, anchors, shares = (
            np.round(array * 64) / 64 for array in (coef, intercept, anchors, shares)
        )
        codes[:30] = np.argmax(host(X)[:30] @ coef.T + intercept, axis=1)
        for mixing in (None, (shares, anchors)):
            expected = challenge_definition.self_challenging(
                host(X), codes, coef, intercept, mixing
            )
            found = self_challenging.self_challenging(X, codes, coef, intercept, mixing)
            for got, want in zip(found, expected, strict=True):
                np.testing.assert_allclose(host(got), want, rtol=1e-9, atol=1e-300)

    @pytest.mark.parametrize("n_classes", [6, 130])
    def test_exact_ties(self, n_classes):
        X, codes, coef, intercept, _ = self.problem(20, 8, n_classes)
        for part in self_challenging.self_challenging(X, codes, 0.0 * coef, 0.0 * intercept):
            np.testing.assert_allclose(host(part), 1.0 / n_classes, rtol=1e-13)

    @pytest.mark.parametrize("n_classes", [12, 150])
    def test_same_bits_and_inputs_stay(self, n_classes):
        X, *arrays, mixing = self.problem(70, 20, n_classes, torch.float32)
        arguments = X, *(there(array) for array in arrays)
        mixing = tuple(there(part) for part in mixing)
        before = [argument.clone() for argument in (*arguments, *mixing)]
        first, second = (self_challenging.self_challenging(*arguments, mixing) for _ in range(2))
        assert all(map(torch.equal, first, second))
        assert all(map(torch.equal, (*arguments, *mixing), before))

    def test_views_of_coefficients(self):
        X, codes, coef, intercept, (shares, anchors) = self.problem(30, 13, 4)
        self.assert_same(
            X, codes, np.asfortranarray(coef), np.repeat(intercept, 2)[::2],
            (np.repeat(shares, 2)[::2], np.asfortranarray(anchors)),
        )  # fmt: skip

    @pytest.mark.parametrize("strides", FAR, ids=["rows", "columns"])
    def test_offsets_beyond_32_bits(self, strides, no_copies_back):
        X = beyond_32_bits(*((3, 8) if strides[1] == 1 else (3, 5)), *strides)
        _, codes, *arguments = self.problem(*X.shape, 3)
        self.assert_same(X, codes, *arguments)


class TestLogmeEvidence:
    RULES = {
        "evidence": EvidenceRule(),
        "rank only": EvidenceRule(full_spectrum=False),
        "epsilon inside": EvidenceRule(tolerance=1e-2, epsilon_in_evidence=True),
        "no epsilon": EvidenceRule(epsilon=0.0, tolerance=1e-2),
        "warm start": EvidenceRule(full_spectrum=False, warm_start=True),
        "long": EvidenceRule(tolerance=1e-9, max_rounds=25),
    }
    SHAPES = [(1, 1), (2, 1), (9, 8), (50, 23), (2, 5), (31, 70)]

    @staticmethod
    def features(n, d):
        rng = np.random.default_rng(n + d)
        mixing = rng.normal(size=(d, d)) * np.linspace(2.0, 0.2, d) / np.sqrt(d)
        return rng.normal(size=(n, d)) @ mixing

    @staticmethod
    def targets(X, n_targets):
        rng = np.random.default_rng(1)
        signal = X @ rng.normal(size=(X.shape[1], n_targets)) / (np.linalg.norm(X) + 1e-9)
        labels = np.argmax(np.sqrt(len(X)) * signal + 0.3 * rng.normal(size=signal.shape), axis=1)
        return np.eye(n_targets)[labels]

    @staticmethod
    def arguments(X, Y, rule):
        """What the op is given for these features and targets; NaN below the diagonal."""
        n, d = X.shape
        dual = n < d
        gram = X @ X.T if dual else X.T @ X
        gram[np.tril_indices(len(gram), -1)] = np.nan
        return gram, Y if dual else X.T @ Y, (Y * Y).sum(axis=0), n, d, rule, dual

    @staticmethod
    def evidence(gram, *rest):
        found = logme_evidence.logme_evidence(there(gram), *rest)
        assert all(value.dtype == torch.float64 for value in vars(found).values())
        return {name: host(value) for name, value in vars(found).items()}

    def assert_same(self, *arguments):
        expected = vars(evidence_definition.logme_evidence(*arguments))
        for name, got in self.evidence(*arguments).items():
            # An evidence is the difference of terms of order one a sample.
            atol = 1e-9 if name == "evidences" else 0.0
            np.testing.assert_allclose(got, expected[name], rtol=1e-9, atol=atol, err_msg=name)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_equals_the_definition(self, shape):
        X = self.features(*shape)
        Y = self.targets(X, 2)
        for rule in self.RULES.values():
            self.assert_same(*self.arguments(X, Y, rule))

    @pytest.mark.parametrize("r", [15, 16, 17, 40])
    def test_spectra_of_several_blocks(self, r, monkeypatch):
        monkeypatch.setattr(logme_evidence, "EIGENVALUES", 16)
        for X in (self.features(50, r), self.features(r, 50)):
            self.assert_same(*self.arguments(X, self.targets(X, 2), EvidenceRule()))

    @pytest.mark.parametrize("scale", [1e-3, 1e3])
    def test_scales(self, scale):
        X = scale * self.features(60, 20)
        self.assert_same(*self.arguments(X, self.targets(X, 3), EvidenceRule()))

    def test_real_targets_and_a_class_that_does_not_occur(self):
        X = self.features(60, 10)
        rng = np.random.default_rng(3)
        Y = X @ rng.normal(size=(10, 4)) * 10.0 ** np.arange(-4, 4, 2) + rng.normal(size=(60, 4))
        Y[:, 1] = 0.0
        for rule in self.RULES.values():
            self.assert_same(*self.arguments(X, Y, rule))

    @pytest.mark.exhaustive
    @pytest.mark.parametrize("dual", [False, True], ids=["primal", "dual"])
    @pytest.mark.parametrize(
        "kind", ["no features", "no target", "exact fit", "tiny", "huge", "rank one"]
    )
    def test_degenerate_input_stays_finite(self, kind, dual):
        X = self.features(*((12, 40) if dual else (40, 12)))
        Y = self.targets(X, 2)
        if kind == "no target":
            Y[:, 1] = 0.0
        elif kind == "exact fit":
            Y = X @ np.random.default_rng(2).normal(size=(X.shape[1], 2))
        elif kind == "rank one":
            X = np.outer(X[:, 0], X[0])
        else:
            X *= {"no features": 0.0, "tiny": 1e-30, "huge": 1e30}[kind]
        for rule in self.RULES.values():
            found = self.evidence(*self.arguments(X, Y, rule))
            assert all(np.isfinite(value).all() for value in found.values())
            assert (found["alphas"] > 0).all() and (found["betas"] > 0).all()

    @pytest.mark.parametrize("kind", ["duplicate columns", "low rank", "badly scaled"])
    def test_null_space_holds_no_moments(self, kind):
        X = self.features(60, 20)
        if kind == "duplicate columns":
            X[:, 10:15] = X[:, 5:10]
        elif kind == "low rank":
            X = self.features(60, 5) @ np.random.default_rng(5).normal(size=(5, 20))
        else:
            X *= 10.0 ** np.linspace(-4, 3, 20)
        Y = self.targets(X, 3)
        # The same evidence from a singular value decomposition: no squared condition number.
        left, singular, _ = np.linalg.svd(X, full_matrices=False)
        exact = evidence_definition.logme_evidence(
            np.diag(singular**2), singular[:, None] * (left.T @ Y), (Y * Y).sum(axis=0),
            60, 20, EvidenceRule(),
        )  # fmt: skip
        found = self.evidence(*self.arguments(X, Y, EvidenceRule()))
        np.testing.assert_allclose(found["evidences"], exact.evidences, rtol=0, atol=1e-9)

    def test_targets_do_not_depend_on_their_neighbours(self):
        X = self.features(60, 20)
        gram, moments, squares, *rest = self.arguments(X, self.targets(X, 4), EvidenceRule())
        together = self.evidence(gram, moments, squares, *rest)
        for k in range(4):
            alone = self.evidence(gram, moments[:, k : k + 1], squares[k : k + 1], *rest)
            for name, value in alone.items():
                np.testing.assert_allclose(value[0], together[name][k], rtol=1e-11)

    def test_no_targets(self):
        X = self.features(10, 4)
        found = self.evidence(*self.arguments(X, np.zeros((10, 0)), EvidenceRule()))
        assert all(value.shape == (0,) for value in found.values())

    def test_same_bits_and_inputs_stay(self):
        X = self.features(40, 15)
        *arrays, n, d, rule, dual = self.arguments(X, self.targets(X, 3), EvidenceRule())
        tensors = [there(array) for array in arrays]
        before = [tensor.clone() for tensor in tensors]
        first, second = (
            logme_evidence.logme_evidence(*tensors, n, d, rule, dual) for _ in range(2)
        )
        for one, two in zip(vars(first).values(), vars(second).values(), strict=True):
            assert torch.equal(one, two)
        for tensor, copy in zip(tensors, before, strict=True):
            assert torch.equal(tensor.nan_to_num(), copy.nan_to_num())


class TestParcCorrelation:
    # Around the tile's edge, and with features that do and do not fill a step.
    SHAPES = [(2, 1, 2), (3, 16, 2), (64, 5, 3), (65, 16, 5), (100, 33, 100), (130, 2, 4)]
    BINS = 1 << 12

    @staticmethod
    def problem(n, d, n_classes, dtype=torch.float64):
        rng = np.random.default_rng(n + d)
        codes = rng.integers(0, n_classes, n)
        return there(rng.normal(size=(n, d)) + 0.3 * codes[:, None], dtype), there(codes)

    def counters(self, X, codes, kept_bytes=1 << 28):
        """The kernel's counter and plain PyTorch's."""
        order = torch.argsort(codes, stable=True)
        for version in (parc_correlation, parc_by_torch):
            multiples = version.KeyCounter.MULTIPLES
            rows = UnitRows(X, order, multiples=multiples, kept_bytes=kept_bytes)
            yield version.KeyCounter(rows, codes[order], self.BINS)

    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    @pytest.mark.parametrize("kept", [pytest.param(True, marks=pytest.mark.exhaustive), False])
    def test_counts(self, shape, kept):
        X, codes = self.problem(*shape)
        by_kernel, by_torch = self.counters(X, codes, 1 << 28 if kept else 1)
        assert torch.equal(by_kernel.sample(), by_torch.sample())
        first = tensor_ranks.fitted_level(by_torch.sample(), self.BINS)
        levels, counts = [first], by_torch([first])
        assert torch.equal(by_kernel(levels), counts)
        assert counts.sum() == len(X) * (len(X) - 1) // 2
        for _ in range(2):  # levels of finer bins in place of the fullest
            fullest = torch.sort(torch.topk(counts.sum(dim=0), 5).indices).values
            levels.append(tensor_ranks.refined_level(levels[-1], fullest, self.BINS))
            counts = by_torch(levels)
            assert torch.equal(by_kernel(levels), counts)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_equals_the_definition(self, dtype):
        X, codes = self.problem(70, 6, 3, dtype)
        for layout in in_layouts(X).values():
            found, bound = parc_correlation.bounded_correlation(
                layout, codes, sort_limit=0, bins=self.BINS, tolerance=1e-5
            )
            assert 0.0 < bound <= 1e-5
            expected = parc_definition.parc_correlation(host(X), codes.cpu().numpy())
            assert found == pytest.approx(expected, abs=bound)

    def test_few_pairs_are_sorted(self):
        X, codes = self.problem(90, 6, 3)
        expected = parc_definition.parc_correlation(host(X), codes.cpu().numpy())
        assert parc_correlation.parc_correlation(X, codes) == pytest.approx(expected, abs=1e-14)

    def test_duplicate_rows_tie_in_any_tile(self):
        row = np.random.default_rng(0).normal(size=(3, 20))
        X = there(np.concatenate([row[[0] * 100], row[1:]]))
        by_kernel, _ = self.counters(X, there(np.arange(102) % 2))
        groups = by_kernel([tensor_ranks.uniform_level(X.device)]).sum(dim=0)
        assert sorted(groups[groups > 0].tolist()) == sorted([1, 100, 100, 100 * 99 // 2])

    def test_no_pairs_of_a_class(self):
        X, _ = self.problem(10, 3, 2)
        for codes in (np.zeros(10, np.int64), np.arange(10)):
            assert math.isnan(parc_correlation.parc_correlation(X, there(codes)))


class TestFirstNonfinite:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_first_in_row_major_order(self, dtype):
        X = torch.ones(150, 270, dtype=dtype, device=DEVICE)
        X[0, 0] = torch.finfo(dtype).max
        for layout in in_layouts(X).values():
            assert first_nonfinite.first_nonfinite(layout) is None
        for row, column, value in [
            (149, 269, math.nan), (149, 3, math.inf), (20, 260, -math.inf), (20, 255, math.nan),
            (0, 1, math.inf), (0, 0, math.nan),
        ]:  # fmt: skip
            X[row, column] = value
            found = first_nonfinite.first_nonfinite(X)
            assert found == (row, column) and all(type(index) is int for index in found)
        assert first_nonfinite.first_nonfinite(in_layouts(X[1:])["transposed"]) == (19, 255)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 300), (200, 1)], ids=str)
    def test_thin(self, shape):
        X = torch.zeros(shape, device=DEVICE)
        assert first_nonfinite.first_nonfinite(X) is None
        X[-1, -1] = math.nan
        assert first_nonfinite.first_nonfinite(X) == (shape[0] - 1, shape[1] - 1)

    @pytest.mark.parametrize("strides", FAR, ids=["rows", "columns"])
    def test_offsets_beyond_32_bits(self, strides, no_copies_back):
        X = beyond_32_bits(3, 8 if strides[1] == 1 else 5, *strides)
        assert first_nonfinite.first_nonfinite(X) is None
        X[2, 4] = math.inf
        assert first_nonfinite.first_nonfinite(X) == (2, 4)


def test_vector_width_promises_nothing_untrue():
    X = torch.zeros(8, 32)
    assert triton_runtime.vector_width(X) == 4
    assert triton_runtime.vector_width(X.to(torch.float16)) == 8
    for other in (X[:, 1:], X[:, :30], X[:, ::2], X.T, torch.zeros(8, 31), X[:, 1:29]):
        assert triton_runtime.vector_width(other) == 1
    assert triton_runtime.vector_width(X[:, 4:28]) == 4
