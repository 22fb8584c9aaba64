"""The machine that measures: its facts, its instruction sets, its measured peak."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from transfer_kernels.kernels.native_runtime import ISA_VARIABLE, instruction_set, native_module
from transfer_kernels.kernels.threads import thread_count
from transfer_kernels.ops.backends import BACKENDS, choose_backend

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("transfer-kernels", "numpy", "scipy", "scikit-learn", "numba")


def facts() -> dict:
    """What a reader needs to judge the numbers; nothing that names the host or its paths."""
    native = "native" in available_backends()
    return {
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": thread_count(),
        "instruction_sets": instruction_sets(),
        "instruction_set": instruction_set() if native else None,
        "compiler": native_module().__compiler__ if native else None,
        "backend": choose_backend().name,
        "blas": blas(),
        "python": platform.python_version(),
        "versions": versions(),
        "commit": commit(),
    }


def available_backends() -> list[str]:
    """Names of the CPU backends that run here, in order of choice."""
    usable = (b for b in BACKENDS if b.device == "cpu" and b.obstacle() is None)
    return [backend.name for backend in usable]


def instruction_sets() -> list[str]:
    """Instruction sets that the compiled kernels can use here, widest last."""
    return native_module().available_isas() if "native" in available_backends() else []


@contextmanager
def using_instruction_set(isa: str | None):
    """Make the compiled kernels use an instruction set; None leaves the choice to them."""
    before = os.environ.get(ISA_VARIABLE)
    if isa is not None:
        os.environ[ISA_VARIABLE] = isa
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(ISA_VARIABLE, None)
        else:
            os.environ[ISA_VARIABLE] = before


def peak(isa: str | None = None, n_threads: int | None = None) -> dict | None:
    """GFLOP/s of the multiply-add units, by dtype, from a loop that stays in registers.

    Measured once a process. None where there is no compiled module to run that loop. ``isa`` is the
    one in use by default, ``n_threads`` those that the kernels use.
    """
    if "native" not in available_backends():
        return None
    return _measured_peak(isa or instruction_set(), n_threads or thread_count())


@cache
def _measured_peak(isa: str, n_threads: int) -> dict:
    return native_module().fma_peak(isa=isa, n_threads=n_threads, seconds=1.0)


def percent_of_peak(flops: float, seconds: float, isa: str | None = None) -> float | None:
    """Share of the float64 peak that so many flops in so many seconds make."""
    found = peak(isa)
    return None if found is None else 100.0 * flops / seconds / (1e9 * found["float64"])


def floor_seconds(flops: float) -> float | None:
    """Seconds that the flops take at the float64 peak: no implementation of them is faster."""
    found = peak()
    return None if found is None else flops / (1e9 * found["float64"])


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in named.items()}
    family, model = named.get("cpu family"), named.get("model")
    name = named.get("model name", platform.machine())
    return f"{name} (family {family}, model {model})" if family else name


def blas() -> list[str]:
    """Name, version and, where threadpoolctl is installed, kernels and threads of each BLAS."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        import numpy
        import scipy

        found = []
        for package in (numpy, scipy):
            info = package.show_config(mode="dicts")["Build Dependencies"]["blas"]
            found.append(f"{package.__name__}: {info.get('name')} {info.get('version')}")
        return found
    import scipy.linalg  # noqa: F401  (loads SciPy's own BLAS, so that it is listed)

    return [
        f"{pool['internal_api']} {pool['version']}, {pool.get('architecture', 'unknown')} kernels, "
        f"{pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


def versions() -> dict[str, str | None]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def commit() -> str | None:
    """Commit of the checkout, marked where tracked files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
