"""Fixtures: every available backend and instruction set, poisoned scratch memory, goldens."""

import builtins
import errno
import io
import json
import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from transfer_kernels.ops.backends import BACKENDS

ROOT = Path(__file__).parents[1]
GOLDENS = ROOT / "tests" / "goldens"

# Tables are wrapped to it, and tests read their lines.
os.environ.pop("COLUMNS", None)

ISA_VARIABLE = "TRANSFER_KERNELS_ISA"


def backend_variants():
    """(backend, instruction set or None) of every CPU backend that runs here."""
    variants = []
    for backend in BACKENDS:
        if backend.device != "cpu" or backend.obstacle() is not None:
            continue
        if backend.name == "native":
            from transfer_kernels import _native

            variants += [("native", isa) for isa in _native.available_isas()]
        else:
            variants.append((backend.name, None))
    return variants


VARIANTS = backend_variants()
WIDEST_ISA = next((isa for backend, isa in reversed(VARIANTS) if backend == "native"), None)


def variant_id(variant):
    return "-".join(filter(None, variant))


def pytest_addoption(parser):
    parser.addoption("--exhaustive", action="store_true", help="run the exhaustive tier too")
    parser.addoption("--exhaustive-only", action="store_true", help="run the exhaustive tier alone")


def pytest_collection_modifyitems(config, items):
    """Leave the exhaustive tier out unless it is asked for; or all else."""
    alone = config.getoption("--exhaustive-only")
    if config.getoption("--exhaustive") and not alone:
        return
    left_out = [item for item in items if is_exhaustive(item) != alone]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


#: Rooms whose tests are of formulas: the ops below them are held to the reference elsewhere.
FORMULAS = ("metrics", "inputs", "compat")


def is_exhaustive(item):
    """Marked so; or on what is not chosen here, but for a look at each op.

    An instruction set that is not the widest; for formulas a backend that is not the first.
    """
    if item.get_closest_marker("exhaustive"):
        return True
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    variant = parameters.get("backend", parameters.get("native_isa"))
    if not isinstance(variant, tuple) or item.path.stem in ("test_ops", "test_properties"):
        return False
    if item.path.parent.name in FORMULAS and variant[0] != VARIANTS[0][0]:
        return True
    return variant[1] not in (None, WIDEST_ISA)


@pytest.fixture(params=VARIANTS, ids=variant_id)
def backend(request, monkeypatch):
    """Name of a backend; for the compiled one, once with each instruction set."""
    name, isa = request.param
    if isa is not None:
        monkeypatch.setenv(ISA_VARIABLE, isa)
    return name


@pytest.fixture(params=[v for v in VARIANTS if v[0] == "native"], ids=variant_id)
def native_isa(request, monkeypatch):
    """An instruction set that the compiled backend is made to use."""
    monkeypatch.setenv(ISA_VARIABLE, request.param[1])
    return request.param[1]


class PoisonedNumPy:
    """NumPy, but that its uninitialised memory is NaN."""

    def __getattr__(self, name):
        return getattr(np, name)

    @staticmethod
    def _poison(array):
        if array.dtype.kind in "fc":
            array.fill(np.nan)
        return array

    def empty(self, *args, **kwargs):
        return self._poison(np.empty(*args, **kwargs))

    def empty_like(self, *args, **kwargs):
        return self._poison(np.empty_like(*args, **kwargs))


@pytest.fixture(autouse=True)
def poisoned_scratch(monkeypatch):
    """Let the package see poisoned scratch memory, so that reading it before writing shows.

    Not the modules that Numba compiles; glibc poisons theirs with MALLOC_PERTURB_ in `.ci/run`.
    """
    for module in modules_with_scratch(len(sys.modules)):
        monkeypatch.setattr(module, "np", PoisonedNumPy())


@cache
def modules_with_scratch(n_modules):
    """Modules of the package that allocate by NumPy, of so many that are imported."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("transfer_kernels") and getattr(module, "np", None) is np
        if not hasattr(module, "kernel") and not hasattr(module, "njit")
    ]


@pytest.fixture(autouse=True)
def threads_on_any_machine(monkeypatch):
    """Let tests ask for several threads and workers where there are few processors."""
    from transfer_kernels.kernels import threads

    monkeypatch.setattr(threads, "most_threads", lambda: max(64, threads.processor_count()))


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Give back the environment and PyTorch's threads, which the examples' scripts set."""
    torch = sys.modules.get("torch")
    before, threads = dict(os.environ), torch and torch.get_num_threads()
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)
    if torch and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_forced_backend(monkeypatch):
    """Tests choose their backend themselves, whatever the caller's environment says."""
    monkeypatch.delenv("TRANSFER_KERNELS_BACKEND", raising=False)


@pytest.fixture(scope="session")
def goldens():
    """Values of published implementations; see goldens/README.md."""
    return {
        "scores": json.loads((GOLDENS / "scores.json").read_text()),
        "noise": json.loads((GOLDENS / "noise.json").read_text()),
        "arrays": lambda case: np.load(GOLDENS / f"{case}.npz", allow_pickle=False),
    }


def cuda_kernel_devices():
    """Where the CUDA kernels can run: "cpu" by the host execution layer, "cuda" on a GPU."""
    from importlib.util import find_spec

    found = ["cpu"] if find_spec("transfer_kernels._cuda_on_host") else []
    if find_spec("transfer_kernels._cuda"):
        import torch

        from transfer_kernels import _cuda

        if torch.cuda.is_available() and _cuda.device_problem() is None:
            found.append("cuda")
    return found


def close_to_reading(monkeypatch, path):
    """Let nobody open a file or folder: by its permissions, and for root, who needs none."""
    path.chmod(0o300)  # so that it can be removed
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return

    def refusing(original):
        def guarded(target, *args, **kwargs):
            if isinstance(target, (str, bytes, os.PathLike)) and Path(os.fsdecode(target)) == path:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return original(target, *args, **kwargs)

        return guarded

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))
    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))


def make_problem(n=300, d=24, n_classes=5, seed=0, spread=1.0, dtype=np.float32, offset=0.0):
    """Features with class structure and a decaying spectrum, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate(
        [np.arange(n_classes), rng.integers(0, n_classes, max(n - n_classes, 0))]
    )[:n]
    means = rng.normal(size=(n_classes, d))
    noise = rng.normal(size=(n, d)) * np.linspace(1.5, 0.3, d)
    return (0.4 * (spread * means[labels] + noise) + offset).astype(dtype), labels


def example_inputs(X, y, place=lambda array: array):
    """Every named input, for features X (n, d) and labels: a ModelOutputs and the target's inputs.

    They follow the samples, and stay as they are when features or classes change their order.
    ``place`` puts each array where it shall be.
    """
    import transfer_kernels as tk

    rows = np.asarray(X, dtype=np.float64)
    first, second = rows.mean(axis=1), np.tanh(rows).mean(axis=1)
    general = np.stack([first, second, np.cos(first), np.sin(3.0 * second)], axis=1)
    logits = general @ np.linspace(-2.0, 3.0, 20).reshape(4, 5)
    posteriors = np.exp(logits - logits.max(axis=1, keepdims=True))
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    classes, codes = np.unique(y, return_inverse=True)
    means = np.stack([general[codes == c].mean(axis=0) for c in range(len(classes))])
    of_model = {
        "features": place(X),
        "posteriors": place(posteriors),
        "source": (place((0.9 * rows).astype(X.dtype)), (first > np.median(first)).astype(int)),
        "general": place((1.2 * rows + 0.1).astype(X.dtype)),
    }
    of_target = {
        "label_embeddings": place(means.reshape(-1, 2, 2)),
        "reference": place(general[:, ::-1] + general),
    }
    return tk.ModelOutputs(**of_model), of_target


def score_with_all_inputs(X, y, metrics, backend=None, place=lambda array: array):
    """`transfer_kernels.score` with every named input."""
    import transfer_kernels as tk

    outputs, of_target = example_inputs(X, y, place)
    return tk.score(outputs, y, metrics, backend=backend, **of_target)


def in_subprocess(code, **environment):
    """Run Python code in a fresh interpreter; returns the completed process."""
    import subprocess

    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
    )
