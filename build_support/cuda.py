"""Which nvcc compiles the CUDA kernels, and for which GPUs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

DEFAULT_ARCHITECTURES = "80;90;100"
#: The kernels multiply on the FP64 tensor cores, which came with this one.
OLDEST = 80

HOW = "TRANSFER_KERNELS_CUDA_ARCHS=80;90 builds it for those compute capabilities"


class Skipped(Exception):
    """Nothing to build here, and nothing is wrong; the message says why and how to build it."""


def find_nvcc(environ=os.environ):
    """nvcc's path or None, and a remark or None.

    CUDA_HOME and CUDA_PATH come first; where they hold no nvcc, that on PATH serves, with a remark.
    """
    wrong = None
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if home := environ.get(variable):
            if nvcc := shutil.which("nvcc", path=str(Path(home, "bin"))):
                return nvcc, None
            wrong = wrong or f"{variable}={home} holds no bin/nvcc"
    nvcc = shutil.which("nvcc", path=environ.get("PATH", os.defpath))
    if wrong:
        wrong += f"; {nvcc} on PATH serves instead" if nvcc else ", nor is one on PATH"
    return nvcc, wrong


def parse_architectures(listed):
    """Compute capabilities without their dots, such as "80", from a list like PyTorch's.

    Parameters
    ----------
    listed : str
        Separated by semicolons, commas or blanks: "80;90", "8.0 9.0+PTX", "90a".

    Raises
    ------
    ValueError
        If one is not a compute capability, or none is there.
    """
    words = [word for word in re.split(r"[;,\s]+", listed) if word]
    archs = [word.removesuffix("+PTX").replace(".", "") for word in words]
    for word, arch in zip(words, archs, strict=True):
        if not re.fullmatch(r"\d{2,3}[af]?", arch):
            raise ValueError(f"{word!r} is no compute capability; say for example 80;90")
    if not archs:
        raise ValueError("no compute capability is given; say for example 80;90")
    return list(dict.fromkeys(archs))


def gpu_architectures():
    """Compute capabilities of this machine's GPUs, as nvidia-smi tells them; empty without any."""
    command = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    found = re.findall(r"^\s*(\d+)\.(\d)\s*$", done.stdout, re.MULTILINE)
    return sorted({major + minor for major, minor in found}, key=int)


def wanted_architectures(environ=os.environ, detect=gpu_architectures):
    """The compute capabilities to build for: those asked for, else those of the machine's GPUs.

    Raises
    ------
    Skipped
        If none is asked for and no GPU is here that the kernels can run on.
    ValueError
        If what is asked for is no list of compute capabilities.
    """
    for variable in ("TRANSFER_KERNELS_CUDA_ARCHS", "TORCH_CUDA_ARCH_LIST"):
        if environ.get(variable, "").strip():
            try:
                return parse_architectures(environ[variable])
            except ValueError as error:
                raise ValueError(f"{variable}: {error}") from None
    found = detect()
    usable = [arch for arch in found if int(arch) >= OLDEST]
    if usable:
        return usable
    if environ.get("TRANSFER_KERNELS_REQUIRE_CUDA") == "1":
        return parse_architectures(DEFAULT_ARCHITECTURES)
    if found:
        raise Skipped(f"the GPU's compute capability is {found[-1]}, and the kernels need {OLDEST}")
    raise Skipped(f"nvidia-smi finds no GPU on this machine; {HOW}")


def architecture_flags(archs):
    """nvcc's flags: machine code for each compute capability, and the last one's PTX."""
    flags = [f"-gencode=arch=compute_{arch},code=sm_{arch}" for arch in archs]
    return [*flags, f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}"]
