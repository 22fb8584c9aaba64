"""Build of the compiled modules; everything else is in pyproject.toml.

`transfer_kernels._native`: the CPU kernels. Each kernel file of csrc/ is compiled once per
instruction set and the choice is made at run time, so one build serves every processor of its
architecture. Without a usable compiler the install goes on without the module (Numba serves) and
says so.

`transfer_kernels._cuda`: the CUDA kernels, csrc/*.cu, built where there is an nvcc. Links
nothing but the static CUDA runtime: one build serves every PyTorch, and imports without a driver.

`transfer_kernels._cuda_on_host`: the same CUDA sources compiled for the CPU, for tests.

Environment:
    TRANSFER_KERNELS_NO_NATIVE=1     skip `_native` and `_cuda_on_host`
    TRANSFER_KERNELS_REQUIRE_NATIVE=1  fail where they cannot be built
    TRANSFER_KERNELS_NO_CUDA=1       skip `_cuda`
    TRANSFER_KERNELS_REQUIRE_CUDA=1  fail where it cannot be built
    TRANSFER_KERNELS_CUDA_ARCHS="80;90;100"
                                     compute capabilities; else TORCH_CUDA_ARCH_LIST, else these
    TRANSFER_KERNELS_ONLY=_cuda      build this one of the three modules and leave the others be
    CUDA_HOME, CUDA_PATH             the CUDA toolkit; else the nvcc on PATH
    TRANSFER_KERNELS_SANITIZE=address,undefined
                                     test build: sanitizers, poisoned scratch memory, and the
                                     eight-lane kernels lowered to AVX2 so that they run anywhere
"""

import hashlib
import itertools
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

OPS = [
    "first_nonfinite",
    "fisher_scatter",
    "fma_peak",
    "logme_evidence",
    "parc_correlation",
    "self_challenging",
]
KERNEL_SOURCES = [f"csrc/{op}.cpp" for op in OPS]
COMMON_SOURCES = [f"csrc/bind_{op}.cpp" for op in OPS]
COMMON_SOURCES += [f"csrc/{name}.cpp" for name in ("bindings", "buffer", "isa", "parallel")]

CUDA_BINDINGS = sorted(str(path) for path in Path("csrc").glob("bind_*_cuda.cpp"))
CUDA_OPS = [re.fullmatch(r"csrc.bind_(.*)_cuda\.cpp", path)[1] for path in CUDA_BINDINGS]
CUDA_SOURCES = sorted(str(path) for path in Path("csrc").glob("*.cu"))
CUDA_BINDINGS += ["csrc/bindings_cuda.cpp"]
HOST_DEVICE_SOURCES = sorted(str(path) for path in Path("csrc/host_device").glob("*.cpp"))
DEFAULT_CUDA_ARCHS = "80;90;100"
NVCC_FLAGS = ["-std=c++17", "-O3", "-Werror", "all-warnings", "-Icsrc"]
NVCC_FLAGS += ["-Xcompiler", "-fPIC,-fvisibility=hidden,-Wall,-Wextra"]

HEADERS = sorted(str(path) for path in Path("csrc").rglob("*.h"))

IS_X86 = platform.machine().lower() in {"x86_64", "amd64"}
AVX2_FLAGS = ["-mavx2", "-mfma", "-mf16c"]
AVX512_FLAGS = AVX2_FLAGS + ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
SANITIZE = os.environ.get("TRANSFER_KERNELS_SANITIZE", "")


def instruction_sets():
    """Name, doubles per vector and compiler flags of every variant of the kernel files."""
    yield "baseline", 2, []
    if IS_X86:
        yield "avx2", 4, AVX2_FLAGS
        yield "avx512", 8, AVX2_FLAGS if SANITIZE else [*AVX512_FLAGS, "-mprefer-vector-width=512"]


def find_nvcc():
    """Path of nvcc, or None."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            return shutil.which("nvcc", path=str(Path(os.environ[variable], "bin")))
    return shutil.which("nvcc")


def cuda_architectures():
    """nvcc's flags: machine code for the compute capabilities, and the last one's PTX."""
    listed = os.environ.get("TRANSFER_KERNELS_CUDA_ARCHS")
    listed = listed or os.environ.get("TORCH_CUDA_ARCH_LIST") or DEFAULT_CUDA_ARCHS
    archs = [arch.replace(".", "").removesuffix("+PTX") for arch in re.split(r"[;,\s]+", listed)]
    archs = [arch for arch in archs if arch]
    for arch in archs:
        if not re.fullmatch(r"\d{2,3}[af]?", arch):
            raise ValueError(f"{arch!r} is no compute capability; say for example 80;90")
        yield f"-gencode=arch=compute_{arch},code=sm_{arch}"
    yield f"-gencode=arch=compute_{archs[-1]},code=compute_{archs[-1]}"


class BuildKernels(build_ext):
    """Builds each module in its own way; one that cannot be built is left out, unless required."""

    def build_extensions(self):
        self.check_extensions_list(self.extensions)
        built = []
        only = os.environ.get("TRANSFER_KERNELS_ONLY")
        for ext in self.extensions:
            if only and ext.name != f"transfer_kernels.{only}":
                continue
            if os.environ.get(f"TRANSFER_KERNELS_NO_{ext.switch}") == "1":
                say(f"{ext.name} skipped, as TRANSFER_KERNELS_NO_{ext.switch}=1 asks")
                continue
            try:
                self.build_extension(ext)
                built.append(ext)
            except Exception as error:
                if os.environ.get(f"TRANSFER_KERNELS_REQUIRE_{ext.switch}") == "1":
                    raise
                say(f"{ext.name} not built ({error}); {ext.without_it}")
        self.extensions = built

    def build_extension(self, ext):
        if sys.platform == "win32":
            raise RuntimeError("the compiled kernels need GCC or Clang")
        jobs = ext.jobs(self)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(itertools.chain(*pool.map(lambda job: job(), jobs)))
        ext.link(self, objects)

    def link(self, ext, objects):
        """Link with the C++ compiler."""
        ext.extra_objects = objects
        ext.sources = []
        self.force = True  # the objects may be new
        super().build_extension(ext)

    def object_of(self, source, command):
        """A job: the source compiled by the command, unless that has been done since it changed.

        The object lies in a folder named after the command.
        """
        digest = hashlib.sha256("\0".join(command).encode()).hexdigest()[:8]
        target = Path(self.build_temp, f"command-{digest}", f"{source}.o")

        def compile_one():
            newest = max(os.path.getmtime(path) for path in [source, *HEADERS])
            if not target.exists() or target.stat().st_mtime <= newest:
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_suffix(".part.o")
                run([*command, "-c", source, "-o", str(partial)])
                partial.replace(target)
            return [str(target)]

        return compile_one


class NativeModule(Extension):
    """`_native`: the kernel files per instruction set, and the common files."""

    switch = "NATIVE"
    without_it = "the Numba backend serves instead"

    def __init__(self):
        flags = ["-std=c++17", "-O3", "-fvisibility=hidden", "-ffp-contract=fast"]
        flags += ["-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra", "-Wno-psabi"]
        flags += ["-pthread", *(sanitizer_flags() or ["-g0"])]
        super().__init__(
            "transfer_kernels._native",
            sources=COMMON_SOURCES,
            include_dirs=["csrc", pybind11_include()],
            define_macros=[("TK_POISON", "1"), ("TK_EMULATE_AVX512", "1")] if SANITIZE else [],
            extra_compile_args=flags,
            extra_link_args=["-pthread", *sanitizer_flags()],
            depends=HEADERS,
            language="c++",
            optional=False,
        )

    def jobs(self, build):
        build_dir = Path(build.build_temp)
        jobs = [(source, build_dir, [], []) for source in COMMON_SOURCES]
        for name, lanes, flags in instruction_sets():
            macros = [("TK_ISA", name), ("TK_LANES", str(lanes))]
            jobs += [(source, build_dir / name, macros, flags) for source in KERNEL_SOURCES]

        def job(source, output_dir, macros, flags):
            return lambda: build.compiler.compile(
                [source],
                output_dir=str(output_dir),
                macros=[*macros, *self.define_macros],
                include_dirs=self.include_dirs,
                extra_postargs=[*self.extra_compile_args, *flags],
                depends=self.depends,
            )

        return [job(*arguments) for arguments in jobs]

    def link(self, build, objects):
        build.link(self, objects)


class CudaOnHostModule(Extension):
    """`_cuda_on_host`: the CUDA sources as C++, and the layer that runs them on the host."""

    switch = "NATIVE"
    without_it = "the CUDA kernels cannot be tested on the CPU"

    def __init__(self):
        sources = [*CUDA_SOURCES, *CUDA_BINDINGS, *HOST_DEVICE_SOURCES]
        super().__init__(
            "transfer_kernels._cuda_on_host",
            sources=sources,
            depends=HEADERS,
            extra_link_args=sanitizer_flags(),
            language="c++",
            optional=False,
        )

    def jobs(self, build):
        command = [*build.compiler.compiler_so, "-x", "c++", "-O2", "-g0", "-Wall", "-Wextra"]
        command += ["-Wno-unknown-pragmas", "-DTK_ON_HOST=1", *sanitizer_flags()]
        command += binding_flags("_cuda_on_host")
        return [build.object_of(source, command) for source in self.sources]

    def link(self, build, objects):
        build.link(self, objects)


class CudaModule(Extension):
    """`_cuda`: the CUDA sources by nvcc, for several GPUs, and their bindings."""

    switch = "CUDA"
    without_it = "there is no CUDA backend"

    def __init__(self):
        sources = [*CUDA_SOURCES, *CUDA_BINDINGS]
        super().__init__("transfer_kernels._cuda", sources=sources, depends=HEADERS, optional=False)

    def jobs(self, build):
        self.nvcc = find_nvcc()
        if self.nvcc is None:
            raise RuntimeError("nvcc is neither in CUDA_HOME or CUDA_PATH nor on PATH")
        device = [self.nvcc, *NVCC_FLAGS, *cuda_architectures()]
        host = [*build.compiler.compiler_so, "-O2", "-g0", "-Wall", "-Wextra"]
        host += binding_flags("_cuda")
        jobs = [build.object_of(source, device) for source in CUDA_SOURCES]
        return jobs + [build.object_of(source, host) for source in CUDA_BINDINGS]

    def link(self, build, objects):
        target = Path(build.get_ext_fullpath(self.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # The runtime's symbols stay inside: the process may hold another version of it.
        hidden = ["-Xlinker", "--exclude-libs,ALL"]
        run([self.nvcc, "-shared", "-cudart=static", *hidden, *objects, "-o", str(target)])


def run(command):
    print(*command, flush=True)
    subprocess.run(command, check=True)


def say(what):
    print(f"transfer_kernels: {what}", file=sys.stderr)


def pybind11_include():
    import pybind11

    return pybind11.get_include()


def sanitizer_flags():
    if not SANITIZE:
        return []
    return [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g", "-fno-sanitize-recover=all"]


def binding_flags(module):
    """Flags of the files that the CUDA modules' bindings, and all of the host's, are made with."""
    flags = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-Icsrc"]
    flags += [f"-I{pybind11_include()}", f"-I{sysconfig.get_path('include')}"]
    ops = " ".join(f"X({op})" for op in CUDA_OPS)
    return [*flags, f"-DTK_MODULE={module}", f"-DTK_CUDA_OPS(X)={ops}"]


kernel_packages = sorted(
    f"transfer_kernels.kernels.{path.parent.name}" for path in Path("kernels").glob("*/__init__.py")
)

setup(
    packages=[
        "transfer_kernels",
        "transfer_kernels.metrics",
        "transfer_kernels.recommend",
        "transfer_kernels.kernels",
        *kernel_packages,
    ],
    package_dir={"transfer_kernels.kernels": "kernels"},
    ext_modules=[NativeModule(), CudaOnHostModule(), CudaModule()],
    cmdclass={"build_ext": BuildKernels},
)
