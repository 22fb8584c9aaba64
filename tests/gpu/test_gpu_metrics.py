"""The metrics through the GPU backends, beside the CPU's values; on the host where no GPU is."""

import os
import sys
from functools import partial

import numpy as np
import pytest
from conftest import make_problem, score_with_all_inputs

torch = pytest.importorskip("torch")

HAS_GPU = torch.cuda.is_available()
if not HAS_GPU and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"  # read once, when Triton is imported

import transfer_kernels as tk  # noqa: E402
from transfer_kernels.ops.backends import forced_backend  # noqa: E402

X, y = make_problem(70, 9, 4)


@pytest.fixture(params=["cuda", "torch", "triton"])
def backend(request, monkeypatch):
    """A GPU backend, run on the host where there is no GPU."""
    if not HAS_GPU:
        monkeypatch.setenv("TRANSFER_KERNELS_CUDA_ON_HOST", "1")
        monkeypatch.setenv("TRANSFER_KERNELS_TORCH_ON_HOST", "1")
    try:
        forced_backend(request.param)
    except ValueError as error:
        pytest.skip(str(error))
    return request.param


def there(features):
    """Features on the GPU if there is one, else as they are."""
    return torch.from_numpy(np.ascontiguousarray(features)).cuda() if HAS_GPU else features


METRICS = {
    **{name: partial(score_with_all_inputs, metrics=name) for name in tk.metric_names()},
    "logme, thuml": lambda X, y, **k: tk.logme(X, np.where(y > 1, y + 2, y), variant="thuml", **k),
    "logme, regression": lambda X, y, **k: tk.logme(X, np.sin(y), regression=True, **k),
    "parc, f = 4": lambda X, y, **k: tk.parc(X, y, n_components=4, **k),
    "parc, vectors": lambda X, y, **k: tk.parc(X, np.eye(4)[y] + 0.1 * np.outer(y, y[:4]), **k),
}


@pytest.mark.filterwarnings("ignore::transfer_kernels.UninformativeScoreWarning")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", ["tall", "wide", "offset"])
def test_same_values_as_on_the_cpu(metric, shape, backend):
    features = {"tall": X, "wide": X[:6], "offset": X + np.float32(30.0)}[shape]
    labels = y[: len(features)]
    if shape == "wide" and metric in ("emms", "nleep"):
        with pytest.raises(ValueError, match="samples"):
            METRICS[metric](features, labels, backend=backend, place=there)
        return
    if len(features) < 9 and metric == "parc, f = 4":
        features = features[:, :5]
    expected = METRICS[metric](features, labels, backend="reference")
    if metric in tk.metric_names():
        found = METRICS[metric](features, labels, backend=backend, place=there)
    else:
        found = METRICS[metric](there(features), labels, backend=backend)
    for value in found.values() if isinstance(found, dict) else [found]:
        assert isinstance(value, float)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64"])
def test_dtypes(dtype, backend):
    features = torch.from_numpy(8.0 * X).to(getattr(torch, dtype))
    expected = tk.score(features.double(), y, backend="reference")
    found = tk.score(features.cuda() if HAS_GPU else features, y, backend=backend)
    assert found == pytest.approx(expected, rel=1e-9)


def test_estimators_keep_numpy_arrays(backend):
    model = tk.SFDA(backend=backend).fit(there(X), y)
    expected = tk.SFDA(backend="reference").fit(X, y)
    assert isinstance(model.coef_, np.ndarray)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(model.predict(there(X)), expected.predict(X))
    model = tk.LogME(backend=backend).fit(there(X), y)
    expected = tk.LogME(backend="reference").fit(X, y)
    np.testing.assert_allclose(model.weights_, expected.weights_, rtol=1e-8, atol=1e-10)


def test_ensemble_and_rank(backend):
    zoo = {"a": X, "b": X[:, :4], "c": X[::-1].copy()}
    gpu_zoo = {name: there(features) for name, features in zoo.items()}
    found = tk.sfda_ensemble(gpu_zoo, y, 2, backend=backend)
    assert found.models == tk.sfda_ensemble(zoo, y, 2, backend="reference").models
    table = tk.rank(gpu_zoo, y, ["logme", "sfda"], backend=backend, progress=False)
    expected = tk.rank(zoo, y, ["logme", "sfda"], backend="reference", progress=False)
    for row, other in zip(table, expected, strict=True):
        assert row.error is None
        assert dict(row.scores) == pytest.approx(dict(other.scores), rel=1e-9)


def test_nonfinite_features_are_refused(backend):
    bad = X.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="contains nan first at row 7, column 2"):
        tk.sfda(there(bad), y, backend=backend)


def test_same_bits_from_run_to_run(backend):
    first, second = (tk.score(there(X), y, backend=backend) for _ in range(2))
    assert first == second


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")
class TestOnAGpu:
    def test_features_stay_there(self):
        features = torch.from_numpy(X).cuda()
        scatter = tk.ops.fisher_scatter(features, torch.from_numpy(y).cuda(), 4)
        assert scatter.gram.is_cuda and scatter.sums.is_cuda

    def test_current_stream_is_used(self):
        features = torch.from_numpy(X).cuda()
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)
            doubled = features * 2.0
            found = tk.logme(doubled, y)
        assert found == pytest.approx(tk.logme(X * 2.0, y), rel=1e-9)

    @pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
    def test_a_second_gpu(self, backend):
        features = torch.from_numpy(X)
        expected = tk.score(features.cuda(), y, backend=backend)
        assert tk.score(features.to("cuda:1"), y, backend=backend) == expected
        assert torch.cuda.current_device() == 0

    def test_labels_and_arrays_of_other_libraries(self):
        features = torch.from_numpy(X).cuda()

        class Foreign:
            __cuda_array_interface__ = features.__cuda_array_interface__

        assert tk.logme(Foreign(), torch.from_numpy(y).cuda()) == tk.logme(features, y)

    def test_cpu_backends_refuse_it(self):
        with pytest.raises(ValueError, match="it takes arrays on cpu, not on cuda"):
            tk.logme(torch.from_numpy(X).cuda(), y, backend="native")
