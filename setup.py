"""Build of the compiled modules; everything else is in pyproject.toml.

`transfer_kernels._native`: the CPU kernels. Each op's csrc/<op>/<op>.cpp is compiled once per
instruction set and the choice is made at run time, so one build serves every processor of its
architecture. Without a usable compiler the install goes on without the module (Numba serves) and
says so.

`transfer_kernels._cuda`: the CUDA kernels, csrc/*/*.cu, for the GPUs that the machine has or that
are asked for. Links nothing but the static CUDA runtime: one build serves every PyTorch, and
imports without a driver.

`transfer_kernels._cuda_on_host`: the same CUDA sources compiled for the CPU, for tests. Built for
development only (in place, or an editable install), as are the kernels that only tests call.

Why a module was left out is kept in transfer_kernels/_build_info.json, for `transfer-kernels info`.
Objects are kept in build/objects: a build compiles what changed since the last one, however it is
started. In development compile_commands.json is written, for clangd.

Environment:
    CXX, CXXFLAGS                    the C++ compiler, GCC or Clang, and more flags for it
    CUDA_HOME, CUDA_PATH             the CUDA toolkit; else the nvcc on PATH
    TRANSFER_KERNELS_NO_NATIVE=1     skip `_native` and `_cuda_on_host`
    TRANSFER_KERNELS_REQUIRE_NATIVE=1  fail where they cannot be built
    TRANSFER_KERNELS_NO_CUDA=1       skip `_cuda`
    TRANSFER_KERNELS_REQUIRE_CUDA=1  fail where it cannot be built; without a GPU it is built for
                                     80;90;100
    TRANSFER_KERNELS_CUDA_ARCHS="80;90"
                                     compute capabilities to build `_cuda` for; else
                                     TORCH_CUDA_ARCH_LIST, else those of the machine's GPUs
    TRANSFER_KERNELS_ONLY=_cuda      build this one of the three modules and leave the others be
    TRANSFER_KERNELS_DEV=1           build what only tests need in any case; 0: in no case
    TRANSFER_KERNELS_BUILD=debug     -Og, symbols, poisoned scratch memory; or =sanitize, which is
                                     TRANSFER_KERNELS_SANITIZE=address,undefined
    TRANSFER_KERNELS_SANITIZE=address,undefined
                                     test build: sanitizers, poisoned scratch memory, and the
                                     eight-lane kernels lowered to AVX2 so that they run anywhere
    TRANSFER_KERNELS_WERROR=1        warnings are errors, nvcc's too
"""

import json
import os
import platform
import shutil
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist
from setuptools.errors import LinkError

sys.path.insert(0, str(Path(__file__).parent))  # an isolated build does not look here by itself

from build_support.cuda import (  # noqa: E402
    Skipped,
    architecture_flags,
    find_nvcc,
    wanted_architectures,
)
from build_support.objects import (  # noqa: E402
    Compilation,
    lasting_headers,
    run_tool,
    write_compile_commands,
)

#: What only tests call, on either build of the CUDA sources.
FOR_TESTS = {"device_check"}


def sources(pattern):
    """The files of csrc/ that match, in a fixed order."""
    return sorted(path.as_posix() for path in Path("csrc").glob(pattern))


def kernel_sources():
    """The CPU kernels: what is in the folder of an op and is no binding."""
    folders = [str(Path(path).parent) for path in sources("*/bind.cpp")]
    found = [path for path in sources("*/*.cpp") if str(Path(path).parent) in folders]
    return [path for path in found if not Path(path).name.startswith("bind")]


def common_sources():
    """What is compiled once for all instruction sets: bindings, and what ops share."""
    return [*sources("*/bind.cpp"), *sources("common/*.cpp")]


IS_X86 = platform.machine().lower() in {"x86_64", "amd64"}
AVX2_FLAGS = ["-mavx2", "-mfma", "-mf16c"]
AVX512_FLAGS = AVX2_FLAGS + ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]

BUILD = os.environ.get("TRANSFER_KERNELS_BUILD") or "release"
if BUILD not in {"release", "debug", "sanitize"}:
    raise ValueError(f"TRANSFER_KERNELS_BUILD={BUILD!r}: it is release, debug or sanitize")
SANITIZE = os.environ.get("TRANSFER_KERNELS_SANITIZE", "")
if BUILD == "sanitize" or SANITIZE:
    BUILD, SANITIZE = "sanitize", SANITIZE or "address,undefined"
WARNINGS = ["-Wall", "-Wextra"]
if os.environ.get("TRANSFER_KERNELS_WERROR") == "1":
    WARNINGS += ["-Werror"]


def optimisation(level):
    """Flags of the preset; the level is the release's."""
    if SANITIZE:
        return [level, "-g", *sanitizer_flags(), "-fno-omit-frame-pointer"]
    return ["-Og", "-g"] if BUILD == "debug" else [level, "-g0"]


def sanitizer_flags():
    return [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"] if SANITIZE else []


def instruction_sets():
    """Name, doubles per vector and compiler flags of every variant of the kernel files."""
    yield "baseline", 2, []
    if IS_X86:
        yield "avx2", 4, AVX2_FLAGS
        yield "avx512", 8, AVX2_FLAGS if SANITIZE else [*AVX512_FLAGS, "-mprefer-vector-width=512"]


def python_headers():
    """Flags by which bindings find the headers of Python and pybind11."""
    import pybind11

    kept = lasting_headers("pybind11", pybind11.__version__, pybind11.get_include())
    return [f"-I{kept}", f"-I{sysconfig.get_path('include')}"]


class Module(Extension):
    """A compiled module: its compilations, and how its objects are linked."""

    development_only = False

    def __init__(self, name, switch, without_it):
        super().__init__(f"transfer_kernels.{name}", sources=[], language="c++", optional=False)
        self.short_name = name
        self.switch = switch  # as in TRANSFER_KERNELS_NO_<switch>
        self.without_it = without_it

    def label(self, variant=""):
        return "-".join(filter(None, [BUILD, self.short_name, variant]))

    def link(self, build, objects, target):
        """Link with the C++ compiler."""
        flags = ["-pthread", *sanitizer_flags()]
        build.compiler.link_shared_object(objects, target, extra_postargs=flags, target_lang="c++")


class NativeModule(Module):
    """`_native`: the kernel files per instruction set, and the common files."""

    def __init__(self):
        super().__init__("_native", "NATIVE", "the Numba backend serves instead")

    def compilations(self, build):
        flags = ["-std=c++17", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-pthread"]
        flags += ["-fno-math-errno", "-fno-trapping-math", *WARNINGS, "-Wno-psabi", "-Icsrc"]
        if BUILD != "release":
            flags += ["-DTK_POISON=1"]
        if SANITIZE:
            flags += ["-DTK_EMULATE_AVX512=1"]
        kernels = [*build.compiler.compiler_so_cxx, *flags, *optimisation("-O3")]
        for name, lanes, isa_flags in instruction_sets():
            command = (*kernels, f"-DTK_ISA={name}", f"-DTK_LANES={lanes}", *isa_flags)
            for source in kernel_sources():
                yield Compilation(source, command, self.label(name))
        common = [*build.compiler.compiler_so_cxx, *flags, *optimisation("-O2")]
        for source in common_sources():
            yield Compilation(source, (*common, *python_headers()), self.label())


class AnyCudaModule(Module):
    """What both builds of the CUDA sources share: their sources, and flags of their bindings."""

    def cuda_sources(self, build):
        """The bindings, csrc/<op>/bind_cuda.cpp, and the CUDA sources; those for tests if asked."""
        left_out = () if build.development else FOR_TESTS
        bindings, device = (
            [path for path in sources(pattern) if Path(path).parent.name not in left_out]
            for pattern in ("*/bind_cuda.cpp", "*/*.cu")
        )
        return [*bindings, "csrc/device/bindings_cuda.cpp"], device

    def host_command(self, build):
        flags = ["-std=c++17", "-fPIC", "-fvisibility=hidden", *WARNINGS, *optimisation("-O2")]
        flags += ["-Icsrc", *python_headers()]
        flags += [f"-DTK_MODULE={self.short_name}"]
        return (*build.compiler.compiler_so_cxx, *flags)


class CudaModule(AnyCudaModule):
    """`_cuda`: the CUDA sources by nvcc, and their bindings."""

    def __init__(self):
        super().__init__("_cuda", "CUDA", "there is no CUDA backend")

    def compilations(self, build):
        archs = wanted_architectures()
        self.nvcc, remark = find_nvcc()
        if remark:
            say(remark)
        if self.nvcc is None:
            raise Skipped("nvcc is neither in CUDA_HOME or CUDA_PATH nor on PATH")
        bindings, device = self.cuda_sources(build)
        flags = ["-std=c++17", "-O3", "-Icsrc"]
        flags += ["-Xcompiler", ",".join(["-fPIC", "-fvisibility=hidden", *WARNINGS])]
        if "-Werror" in WARNINGS:
            flags += ["-Werror", "all-warnings"]
        if BUILD == "debug":
            flags += ["-g", "-lineinfo"]
        command = (self.nvcc, *flags, *architecture_flags(archs))
        for source in device:
            yield Compilation(source, command, self.label())
        host = self.host_command(build)
        for source in bindings:
            yield Compilation(source, host, self.label("bindings"))

    def link(self, build, objects, target):
        # The runtime's symbols stay inside: the process may hold another version of it.
        hidden = ["-Xlinker", "--exclude-libs,ALL"]
        command = [self.nvcc, "-shared", "-cudart=static", *hidden, *objects, "-o", target]
        run_tool([*command, *(["-Xcompiler", *sanitizer_flags()[:1]] if SANITIZE else [])], target)


class CudaOnHostModule(AnyCudaModule):
    """`_cuda_on_host`: the CUDA sources as C++, and the layer that runs them on the host."""

    development_only = True

    def __init__(self):
        super().__init__("_cuda_on_host", "NATIVE", "the CUDA kernels cannot be tested on the CPU")

    def compilations(self, build):
        bindings, device = self.cuda_sources(build)
        layer = sorted(str(path) for path in Path("csrc/device/host").glob("*.cpp"))
        command = (*self.host_command(build), "-Wno-unknown-pragmas", "-DTK_ON_HOST=1", "-x", "c++")
        for source in [*device, *bindings, *layer]:
            yield Compilation(source, command, self.label())


class NotWanted(Skipped):
    """The module was not asked for."""


#: What may keep a module from being built; anything else is a mistake here and ends the build.
OBSTACLES = (Skipped, RuntimeError, OSError, ImportError, ValueError, LinkError)


class BuildKernels(build_ext):
    """Builds the modules; one that cannot be built is left out, unless it is required."""

    def run(self):
        # Asked here, since setuptools builds in place by building elsewhere and copying.
        default = "1" if self.inplace else "0"
        self.development = os.environ.get("TRANSFER_KERNELS_DEV", default) == "1"
        root = Path() if self.inplace else Path(self.build_lib)
        self.reasons = root / "transfer_kernels" / "_build_info.json"
        super().run()

    def build_extensions(self):
        self.compiler.force = True  # link even where another preset's result is newer
        only = os.environ.get("TRANSFER_KERNELS_ONLY")
        chosen = [ext for ext in self.extensions if only in {None, "", ext.short_name}]
        built, left_out = [], []
        with ThreadPoolExecutor(self.parallel or processors()) as pool:
            pending = []
            for ext in chosen:
                try:
                    pending.append((ext, *self.start(ext, pool)))
                except OBSTACLES as error:
                    left_out.append((ext, error))
            for ext, _, futures in pending:
                try:
                    objects = [future.result() for future in futures]
                    self.link(ext, objects)
                    built.append(ext)
                except OBSTACLES as error:
                    left_out.append((ext, error))
                    for future in futures:
                        future.cancel()
        self.extensions = built
        if self.development:
            compilations = [one for _, listed, _ in pending for one in listed]
            write_compile_commands(compilations, {one.label for one in compilations})
        self.note(built, left_out)

    def start(self, ext, pool):
        """The module's compilations, and their futures."""
        if os.environ.get(f"TRANSFER_KERNELS_NO_{ext.switch}") == "1":
            raise NotWanted(f"TRANSFER_KERNELS_NO_{ext.switch}=1 was set")
        if ext.development_only and not self.development:
            raise NotWanted("it serves tests only; TRANSFER_KERNELS_DEV=1 builds it")
        if sys.platform == "win32":
            raise RuntimeError("the compiled kernels need GCC or Clang")
        compilations = list(ext.compilations(self))
        return compilations, [pool.submit(compilation.run) for compilation in compilations]

    def link(self, ext, objects):
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # a running process may have it mapped
        ext.link(self, objects, str(target))

    def note(self, built, left_out):
        """Say which modules were left out and keep it for run time; fail if one is required."""
        try:
            reasons = json.loads(self.reasons.read_text())
        except (OSError, ValueError):
            reasons = {}
        for ext in built:
            reasons.pop(ext.short_name, None)
        for ext, error in left_out:
            required = os.environ.get(f"TRANSFER_KERNELS_REQUIRE_{ext.switch}") == "1"
            if required and not isinstance(error, NotWanted):
                raise error
            done = "skipped" if isinstance(error, Skipped) else "not built"
            reasons[ext.short_name] = f"{done}: {error}"
            if self.development or not ext.development_only:
                say(f"{ext.name} {done} ({error}); {ext.without_it}")
        self.reasons.parent.mkdir(parents=True, exist_ok=True)
        self.reasons.write_text(json.dumps(reasons, indent=1, sort_keys=True) + "\n")


class BuildAfresh(build):
    """Builds a wheel's contents from nothing: else it holds what earlier builds left."""

    def run(self):
        if Path(self.build_lib).parent == Path(self.build_base):  # ours, not one that was named
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class SourceDistribution(sdist):
    """A source distribution with the link by which tools see the kernels in the package."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        Path(base_dir, KERNELS_LINK).symlink_to(os.readlink(KERNELS_LINK))


def processors():
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def say(what):
    print(f"transfer_kernels: {what}", file=sys.stderr)


#: For whoever works in the checkout, not for builds: those take kernels/ itself, once.
KERNELS_LINK = Path("transfer_kernels", "kernels")

packages = {"transfer_kernels": "transfer_kernels", "transfer_kernels.kernels": "kernels"}

setup(
    packages=sorted(
        ".".join([name, *path.parent.relative_to(folder).parts])
        for name, folder in packages.items()
        for path in Path(folder).glob("**/__init__.py")  # not through links
    ),
    package_dir={"transfer_kernels.kernels": "kernels"},
    package_data={"transfer_kernels": ["py.typed"]},
    # nvcc takes longest, and so it starts first.
    ext_modules=[CudaModule(), CudaOnHostModule(), NativeModule()],
    cmdclass={"build": BuildAfresh, "build_ext": BuildKernels, "sdist": SourceDistribution},
)
