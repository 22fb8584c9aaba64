"""Which backends there are, which one serves an op, forcing one, and the report of all that."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from ..optional_packages import Unloadable, obstacle, unloadable
from ..text.terminal import encodable

BACKEND_VARIABLE = "TRANSFER_KERNELS_BACKEND"
#: Why the build of this package left modules out: setup.py writes it, beside them.
BUILD_INFO = Path(__file__).parents[1] / "_build_info.json"
#: The oldest compute capability that the CUDA kernels can be compiled for.
CUDA_OLDEST = (8, 0)


@dataclass(frozen=True)
class Backend:
    """One way to run the ops.

    Parameters
    ----------
    name : str
        As users force it.
    modules : tuple of str
        Modules of an op's folder that may hold this backend's version, first match wins.
    device : str
        Kind of device whose arrays it takes.
    obstacle : callable
        Returns why the backend cannot be used here, or None when it can.
    host_variable : str, optional
        Environment variable that, set to 1, lets a GPU backend run its kernels on the CPU, slowly
        and one step at a time: for tests and for the curious.
    """

    name: str
    modules: tuple[str, ...]
    device: str
    obstacle: Callable[[], str | None]
    host_variable: str | None = None

    @property
    def on_host(self) -> bool:
        """Whether it is a GPU backend that runs on the CPU."""
        return self.host_variable is not None and os.environ.get(self.host_variable) == "1"

    @property
    def served_device(self) -> str:
        """Kind of device whose arrays it takes here."""
        return "cpu" if self.on_host else self.device


def _module_obstacle(module: str) -> str | None:
    """Why a compiled module cannot be imported, or None; with what its build said, if it failed."""
    name = f"transfer_kernels.{module}"
    if sys.modules.get(name) is not None:
        return None
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        why = _reasons_of_the_build().get(module, error)
        return f"the compiled module {module} is not installed ({why})"
    except Exception as error:
        return unloadable(f"the compiled module {module}", error)
    return None


def _reasons_of_the_build() -> dict[str, str]:
    """Why the build of this package left modules out."""
    try:
        return dict(json.loads(BUILD_INFO.read_text()))
    except (OSError, ValueError, TypeError):
        return {}


def _native_obstacle() -> str | None:
    return _module_obstacle("_native")


def _numba_obstacle() -> str | None:
    return obstacle("numba", "njit")


def _loading_torch() -> str | None:
    return obstacle("torch", "Tensor", "cuda")


def _missing_gpu() -> str | None:
    if (reason := _loading_torch()) is not None:
        return reason
    import torch

    try:
        return None if torch.cuda.is_available() else "PyTorch sees no CUDA device"
    except Exception as error:  # a driver that does not answer
        return f"PyTorch cannot tell whether there is a CUDA device ({error})"


def _triton_obstacle() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if os.environ.get("TRITON_INTERPRET") == "1":
        return _loading_torch() or obstacle("triton", "jit")
    if missing := _missing_gpu() or obstacle("triton", "jit"):
        return missing
    import torch
    import triton

    from ..kernels.triton_versions import obstacle_of

    return obstacle_of(triton.__version__, torch.cuda.get_device_capability())


def _torch_obstacle() -> str | None:
    on_host = os.environ.get("TRANSFER_KERNELS_TORCH_ON_HOST") == "1"
    return _loading_torch() if on_host else _missing_gpu()


def _cuda_obstacle() -> str | None:
    on_host = os.environ.get("TRANSFER_KERNELS_CUDA_ON_HOST") == "1"
    # PyTorch is a matter of seconds, so it comes last.
    reason = _module_obstacle("_cuda_on_host" if on_host else "_cuda")
    if reason is not None:
        return reason
    if on_host:
        return _loading_torch()
    if missing := _missing_gpu():
        return missing
    import torch

    return _foreign_gpu(torch.cuda.current_device())


@cache
def _foreign_gpu(device: int) -> str | None:
    """Why the CUDA kernels do not run on that GPU, or None: there may be no code for it in them."""
    import torch

    _cuda = importlib.import_module("transfer_kernels._cuda")
    with torch.cuda.device(device):
        problem = _cuda.device_problem()
    if problem is None:
        return None
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < CUDA_OLDEST:
        remedy = "the kernels need " + ".".join(map(str, CUDA_OLDEST)) + " or newer"
    else:
        remedy = f"build them with TRANSFER_KERNELS_CUDA_ARCHS={major}{minor}"
    return (
        f"the CUDA kernels do not run on this GPU of compute capability {major}.{minor} "
        f"({problem}); {remedy}"
    )


#: In the order in which they are chosen.
BACKENDS = (
    Backend("native", ("native_cpu", "lapack_cpu"), "cpu", _native_obstacle),
    Backend("numba", ("numba_cpu", "lapack_cpu"), "cpu", _numba_obstacle),
    Backend("reference", ("reference",), "cpu", lambda: None),
    Backend(
        "cuda",
        ("cuda_gpu", "torch_gpu"),
        "cuda",
        _cuda_obstacle,
        "TRANSFER_KERNELS_CUDA_ON_HOST",
    ),
    # Whatever the GPU: so it comes before "triton", which serves where it is named.
    Backend("torch", ("torch_gpu",), "cuda", _torch_obstacle, "TRANSFER_KERNELS_TORCH_ON_HOST"),
    Backend("triton", ("triton_gpu", "torch_gpu"), "cuda", _triton_obstacle, "TRITON_INTERPRET"),
)


def choose_backend(name: str | None = None, device: str = "cpu") -> Backend:
    """The backend for arrays on a device.

    Parameters
    ----------
    name : str, optional
        Force this one; else ``TRANSFER_KERNELS_BACKEND``, else the first that is available.
    device : str
        Kind of device that holds the arrays.

    Raises
    ------
    ValueError
        If the named backend is unknown, not available here, or does not serve the device. There is
        no fallback from a backend that was named.
    """
    backend = forced_backend(name)
    if backend is None:
        return _first_available(device)
    if backend.served_device != device:
        reason = f"it takes arrays on {backend.served_device}, not on {device}"
        if device == "cpu" and backend.host_variable:
            reason += f", unless {backend.host_variable}=1 is set"
        raise ValueError(_unusable(backend.name, name, reason))
    return backend


def forced_backend(name: str | None = None) -> Backend | None:
    """The backend of that name, else of the environment's; None where neither names one.

    Raises
    ------
    ValueError
        If it is unknown or not available here.
    """
    wanted = name if name is not None else os.environ.get(BACKEND_VARIABLE)
    if not wanted and name is None:
        return None
    for backend in BACKENDS:
        if backend.name == wanted:
            reason = backend.obstacle()
            if reason is not None:
                raise ValueError(_unusable(wanted, name, reason))
            return backend
    raise ValueError(f"{_source(name)}{wanted!r} is unknown. Available: {_available_names()}")


def _source(name: str | None) -> str:
    return "backend=" if name is not None else f"{BACKEND_VARIABLE}="


def _unusable(wanted: str, name: str | None, reason: str) -> str:
    return f"{_source(name)}{wanted!r} cannot be used: {reason}. Available: {_available_names()}"


def _first_available(device: str) -> Backend:
    obstacles: dict[str, str] = {}
    for backend in BACKENDS:
        if backend.device != device:
            continue
        reason = backend.obstacle()
        if reason is None and backend.served_device == device:
            _warn_of_broken(obstacles, backend.name)
            return backend
        obstacles[backend.name] = reason or "it runs on the CPU"
    why = "; ".join(f"{name}: {reason}" for name, reason in obstacles.items())
    why = why or "none is made for it"
    raise ValueError(
        f"no backend serves arrays on {device!r} here ({why}); copy them to the host, "
        "as with features.cpu(), to compute on the CPU"
    )


_warned: set[str] = set()


def _warn_of_broken(obstacles: Mapping[str, str], serving: str) -> None:
    """Tell once of each backend that is there, should have served, and does not load.

    One that was never installed is no fault; one that broke would only be noticed by its absence.
    """
    for name, reason in obstacles.items():
        if isinstance(reason, Unloadable) and name not in _warned:
            _warned.add(name)
            warnings.warn(
                f"the backend {name!r} is passed over: {reason}; {serving!r} serves instead",
                RuntimeWarning,
                stacklevel=2,
            )


def implementation(op: str, backend: str | None = None, device: str = "cpu") -> ModuleType:
    """The module that holds an op's version for the chosen backend.

    Parameters
    ----------
    op : str
        Name of the op's folder in ``transfer_kernels.kernels``.
    backend, device
        See `choose_backend`.
    """
    return version_for(op, choose_backend(backend, device))


@cache
def version_for(op: str, backend: Backend) -> ModuleType:
    """The module that holds an op's version for a backend."""
    package = f"transfer_kernels.kernels.{op}"
    for module in backend.modules:
        if importlib.util.find_spec(f"{package}.{module}") is not None:
            return importlib.import_module(f"{package}.{module}")
    raise ValueError(f"the op {op} has no version for the backend {backend.name!r}")


def _available_names() -> str:
    return ", ".join(backend.name for backend in BACKENDS if backend.obstacle() is None)


def describe_backends() -> str:
    """Report of every backend, available or why not, and of what the machine offers."""
    from transfer_kernels import __version__

    lines = [f"transfer_kernels {__version__}", "", "backends, in order of choice"]
    for backend in BACKENDS:
        reason = backend.obstacle()
        state = "available" if reason is None else f"not available: {reason}"
        device = f"cpu ({backend.host_variable}=1)" if backend.on_host else backend.device
        lines.append(f"  {backend.name:<10} {device:<5} {state}")
    for device in ("cpu", "cuda"):
        try:
            with warnings.catch_warnings():  # what is passed over stands above
                warnings.simplefilter("ignore", RuntimeWarning)
                chosen = choose_backend(device=device).name
            lines.append(f"  chosen     {device:<5} {chosen}")
        except ValueError as error:
            lines.append(f"  chosen     {device:<5} none: {error}")
    lines += ["", "machine"]
    lines += [f"  {key:<16} {value}" for key, value in _machine_facts().items()]
    lines += ["", "versions"]
    lines += [f"  {key:<16} {value}" for key, value in _versions().items()]
    return "\n".join(lines)


def show_backends() -> None:
    """Print `describe_backends`: what is available here, or why not."""
    print(encodable(describe_backends()))


def _machine_facts() -> dict[str, str]:
    from transfer_kernels.kernels.threads import thread_count

    facts = {"platform": f"{platform.system()} {platform.machine()}"}
    if _native_obstacle() is None:
        from transfer_kernels.kernels.native_runtime import native_module

        native = native_module()
        facts["instruction set"] = f"{_instruction_set()} (of {', '.join(native.available_isas())})"
        facts["compiler"] = native.__compiler__
    facts["threads"] = str(thread_count())
    facts["BLAS"] = _blas()
    return facts


def _instruction_set() -> str:
    from transfer_kernels.kernels.native_runtime import instruction_set

    try:
        return instruction_set()
    except ValueError as error:  # the environment forces one that is not there
        return f"none: {error}"


def _blas() -> str:
    import scipy

    try:
        blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{blas.get('name', 'unknown')} {blas.get('version', '')} (SciPy's)"
    except (KeyError, TypeError, AttributeError):
        return "unknown (SciPy does not tell)"


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("numpy", "scipy", "numba", "torch", "triton", "matplotlib", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
