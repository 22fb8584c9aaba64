"""Choosing, forcing and reporting backends; no silent fallback when one was named."""

import contextlib
import dataclasses
import importlib.util
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from conftest import in_subprocess, make_problem

import transfer_kernels as tk
from transfer_kernels.kernels import triton_versions
from transfer_kernels.kernels.triton_versions import obstacle_of
from transfer_kernels.ops import backends
from transfer_kernels.ops.backends import (
    BACKENDS,
    choose_backend,
    describe_backends,
    implementation,
)

OPS = [
    "row_space",
    "first_nonfinite",
    "fisher_discriminant",
    "fisher_scatter",
    "logme_evidence",
    "parc_correlation",
    "randomized_pca",
    "self_challenging",
    "target_moments",
]


@pytest.mark.parametrize("op", OPS)
def test_every_backend_has_every_op(backend, op):
    module = implementation(op, backend)
    functions = {name for name in dir(implementation(op, "reference")) if name in tk.ops.__all__}
    assert functions and all(callable(getattr(module, name)) for name in functions)


def test_forced_by_argument_and_environment(monkeypatch):
    assert choose_backend("reference").name == "reference"
    monkeypatch.setenv("TRANSFER_KERNELS_BACKEND", "reference")
    assert choose_backend().name == "reference"
    assert choose_backend("numba").name == "numba"


def test_unknown_backend_lists_what_there_is(monkeypatch):
    X, y = make_problem(40, 4, 2)
    with pytest.raises(ValueError, match=r"backend='opencl' is unknown\. Available: .*reference"):
        tk.sfda(X, y, backend="opencl")
    monkeypatch.setenv("TRANSFER_KERNELS_BACKEND", "fast")
    with pytest.raises(ValueError, match=r"TRANSFER_KERNELS_BACKEND='fast' is unknown"):
        tk.logme(X, y)


def test_no_fallback_from_a_named_backend(monkeypatch):
    broken = backends.Backend("native", ("native_cpu",), "cpu", lambda: "it was not compiled")
    monkeypatch.setattr(backends, "BACKENDS", (broken, *BACKENDS[1:]))
    X, y = make_problem(40, 4, 2)
    with pytest.raises(ValueError, match="'native' cannot be used: it was not compiled"):
        tk.parc(X, y, backend="native")
    assert choose_backend().name == "numba"
    assert "not available: it was not compiled" in describe_backends()


def test_no_backend_for_a_device():
    with pytest.raises(ValueError, match="no backend serves arrays on 'tpu'"):
        choose_backend(device="tpu")
    with pytest.raises(ValueError, match="'numba' cannot be used: it takes arrays on cpu"):
        choose_backend("numba", device="tpu")


def test_precision_that_a_backend_lacks(backend):
    X, y = make_problem(40, 4, 2)
    with pytest.raises(ValueError, match="precision='float32' is not to be had here, only float64"):
        tk.ops.fisher_scatter(X, y, 2, precision="float32", backend=backend)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("name", ["cuda", "torch", "triton"])
def test_every_gpu_backend_has_every_op(name, op):
    made = next(backend for backend in BACKENDS if backend.name == name)
    names = [f"transfer_kernels.kernels.{op}.{module}" for module in made.modules]
    assert any(importlib.util.find_spec(module) for module in names)


@pytest.mark.parametrize("name", ["cuda", "torch", "triton"])
def test_gpu_backends_take_host_arrays_on_request_only(name, monkeypatch):
    made = next(backend for backend in BACKENDS if backend.name == name)
    ready = dataclasses.replace(made, obstacle=lambda: None)
    monkeypatch.setattr(backends, "BACKENDS", (ready, *BACKENDS))
    monkeypatch.delenv(ready.host_variable, raising=False)
    assert choose_backend(name, "cuda") is ready
    with pytest.raises(ValueError, match=f"not on cpu, unless {made.host_variable}=1"):
        choose_backend(name, "cpu")
    monkeypatch.setenv(ready.host_variable, "1")
    assert choose_backend(name, "cpu") is ready
    with pytest.raises(ValueError, match="it takes arrays on cpu, not on cuda"):
        choose_backend(name, "cuda")
    assert f"cpu ({made.host_variable}=1)" in describe_backends()


def test_the_next_gpu_backend_serves_where_one_cannot(monkeypatch):
    def ready(name, obstacle=None):
        made = next(backend for backend in BACKENDS if backend.name == name)
        monkeypatch.delenv(made.host_variable, raising=False)
        return dataclasses.replace(made, obstacle=lambda: obstacle)

    monkeypatch.setattr(backends, "BACKENDS", (ready("cuda"), ready("torch"), ready("triton")))
    assert choose_backend(device="cuda").name == "cuda"
    foreign = ready("cuda", "no kernel image is available for execution on the device")
    monkeypatch.setattr(backends, "BACKENDS", (foreign, ready("torch"), ready("triton")))
    assert choose_backend(device="cuda").name == "torch"
    with pytest.raises(ValueError, match="'cuda' cannot be used: no kernel image"):
        choose_backend("cuda", "cuda")


@pytest.mark.parametrize(
    "capability, remedy",
    [((7, 5), "the kernels need 8.0 or newer"), ((8, 6), "with TRANSFER_KERNELS_CUDA_ARCHS=86")],
)
def test_cuda_kernels_without_code_for_the_gpu(monkeypatch, capability, remedy):
    torch = pytest.importorskip("torch")
    monkeypatch.delenv("TRANSFER_KERNELS_CUDA_ON_HOST", raising=False)
    kernels = types.ModuleType("transfer_kernels._cuda")
    kernels.device_problem = lambda: "no kernel image is available for execution on the device"
    monkeypatch.setitem(sys.modules, kernels.__name__, kernels)
    monkeypatch.setattr(tk, "_cuda", kernels, raising=False)
    monkeypatch.setattr(backends, "_missing_gpu", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *device: capability)
    backends._foreign_gpu.cache_clear()
    try:
        assert choose_backend(device="cuda").name == "torch"
        with pytest.raises(ValueError, match=f"'cuda' cannot be used.*no kernel image.*{remedy}"):
            choose_backend("cuda", "cuda")
    finally:
        backends._foreign_gpu.cache_clear()


@pytest.mark.parametrize(
    "version, capability, said",
    [
        ("3.6.0", (8, 0), None),
        ("3.6.0", (9, 0), None),
        ("3.9.0+git1234", (10, 0), None),
        ("3.6.0", (12, 0), None),
        ("3.5.1", (9, 0), "need Triton 3.6 or newer"),
        ("3.8.0", (10, 3), "capability 10.3 does not compile float64 products; Triton 3.9 does"),
        ("3.9.0", (7, 5), "capability 7.5: the kernels need 8.0 or newer"),
    ],
)
def test_triton_obstacle_names_the_pair(version, capability, said):
    found = obstacle_of(version, capability)
    if said is None:
        assert found is None
    else:
        assert said in found and f"Triton {version} on a GPU of compute capability" in found


def test_the_oldest_triton_is_the_one_that_is_asked_for():
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    asked = re.search(r'"triton>=([\d.]+);', pyproject.read_text())[1]
    assert triton_versions.release(asked) == triton_versions.OLDEST


def test_unknown_instruction_set(monkeypatch):
    pytest.importorskip("transfer_kernels._native")
    monkeypatch.setenv("TRANSFER_KERNELS_ISA", "sse9")
    X, y = make_problem(40, 4, 2)
    with pytest.raises(ValueError, match="TRANSFER_KERNELS_ISA='sse9' is not available"):
        tk.sfda(X, y, backend="native")


def test_the_report_stands_an_instruction_set_that_is_not_there(monkeypatch):
    pytest.importorskip("transfer_kernels._native")
    monkeypatch.setenv("TRANSFER_KERNELS_ISA", "sse9")
    report = describe_backends()
    assert "none: TRANSFER_KERNELS_ISA='sse9' is not available here" in report


def test_report(capsys):
    tk.show_backends()
    text = capsys.readouterr().out
    for word in ("native", "numba", "reference", "threads", "BLAS", "numpy", "scipy", "torch"):
        assert word in text


def test_reports_when_nothing_is_compiled():
    result = in_subprocess(
        "import sys; sys.modules['transfer_kernels._native'] = None\n"
        "import transfer_kernels as tk; tk.show_backends()"
    )
    assert "native     cpu   not available: the compiled module _native is not" in result.stdout
    assert "chosen     cpu   numba" in result.stdout


def test_reports_why_the_build_left_a_module_out(tmp_path, monkeypatch):
    assert backends.BUILD_INFO.parent == Path(tk.__file__).parent
    monkeypatch.setattr(backends, "BUILD_INFO", tmp_path / "_build_info.json")
    monkeypatch.setitem(sys.modules, "transfer_kernels._native", None)
    obstacle = backends.BACKENDS[0].obstacle
    assert "import of transfer_kernels._native halted" in obstacle()
    (tmp_path / "_build_info.json").write_text('{"_native": "not built: no C++ compiler"}')
    assert "not built: no C++ compiler" in obstacle()


def test_ops_refuse_what_does_not_fit(backend):
    X = np.ones((5, 2))
    scatter = tk.ops.fisher_scatter
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 2\), but range from 0 to 2"):
        scatter(X, [0, 1, 2, 0, 1], 2, backend=backend)
    with pytest.raises(ValueError, match=r"codes must lie in \[0, 2\), but range from -1"):
        scatter(X, [0, 1, -1, 0, 1], 2, backend=backend)
    with pytest.raises(TypeError, match="codes must be integers"):
        scatter(X, [0.0, 1.0, 1.0, 0.0, 1.0], 2, backend=backend)
    with pytest.raises(ValueError, match="weights must be finite and not negative.*weights.1. is"):
        scatter(X, [0, 1, 1, 0, 1], 2, weights=[1, -1, 1, 1, 1], backend=backend)
    with pytest.raises(ValueError, match="must have the same length: 5 samples, but weights has 4"):
        scatter(X, [0, 1, 1, 0, 1], 2, weights=[1, 1, 1, 1], backend=backend)
