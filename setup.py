"""Build of the compiled module `transfer_kernels._native`; everything else is in pyproject.toml.

Each kernel file of csrc/ is compiled once per instruction set and the choice is made at run time,
so one build serves every processor of its architecture. Without a usable compiler the install goes
on without the module (Numba serves) and says so.

Environment:
    TRANSFER_KERNELS_NO_NATIVE=1     skip the compiled module
    TRANSFER_KERNELS_REQUIRE_NATIVE=1  fail where it cannot be built
    TRANSFER_KERNELS_SANITIZE=address,undefined
                                     test build: sanitizers, poisoned scratch memory, and the
                                     eight-lane kernels lowered to AVX2 so that they run anywhere
"""

import itertools
import os
import platform
import sys
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


class BuildNative(build_ext):
    """Compiles the kernel files per instruction set, then links them with the common files."""

    def run(self):
        if os.environ.get("TRANSFER_KERNELS_NO_NATIVE") == "1":
            self._say("skipped, as TRANSFER_KERNELS_NO_NATIVE=1 asks")
            self.extensions = []
            return
        try:
            super().run()
        except Exception as error:
            if os.environ.get("TRANSFER_KERNELS_REQUIRE_NATIVE") == "1":
                raise
            self._say(f"not built ({error}); the Numba backend serves instead")
            self.extensions = []

    def build_extension(self, ext):
        if sys.platform == "win32":
            raise RuntimeError("the compiled kernels need GCC or Clang")
        build_dir = Path(self.build_temp)
        build_dir.mkdir(parents=True, exist_ok=True)
        jobs = [(source, build_dir, [], []) for source in ext.sources]
        for name, lanes, flags in instruction_sets():
            macros = [("TK_ISA", name), ("TK_LANES", str(lanes))]
            jobs += [(source, build_dir / name, macros, flags) for source in KERNEL_SOURCES]

        def compile_one(job):
            source, output_dir, macros, flags = job
            return self.compiler.compile(
                [source],
                output_dir=str(output_dir),
                macros=[*macros, *ext.define_macros],
                include_dirs=ext.include_dirs,
                extra_postargs=[*ext.extra_compile_args, *flags],
                depends=ext.depends,
            )

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ext.extra_objects += itertools.chain(*pool.map(compile_one, jobs))
        ext.sources = []
        self.force = True  # the objects are new, so link them
        super().build_extension(ext)

    @staticmethod
    def _say(what):
        print(f"transfer_kernels: compiled kernels {what}", file=sys.stderr)


def native_extension():
    import pybind11

    flags = ["-std=c++17", "-O3", "-fvisibility=hidden", "-ffp-contract=fast", "-fno-math-errno"]
    flags += ["-fno-trapping-math", "-Wall", "-Wextra", "-Wno-psabi", "-pthread"]
    macros = []
    link = ["-pthread"]
    if not SANITIZE:
        flags += ["-g0"]
    else:
        sanitizer = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g"]
        flags += [*sanitizer, "-fno-sanitize-recover=all"]
        link += sanitizer
        macros += [("TK_POISON", "1"), ("TK_EMULATE_AVX512", "1")]
    return Extension(
        "transfer_kernels._native",
        sources=COMMON_SOURCES,
        include_dirs=["csrc", pybind11.get_include()],
        define_macros=macros,
        extra_compile_args=flags,
        extra_link_args=link,
        depends=[str(path) for path in Path("csrc").glob("*") if path.suffix in {".h", ".cpp"}],
        language="c++",
        optional=False,
    )


kernel_packages = sorted(
    f"transfer_kernels.kernels.{path.parent.name}" for path in Path("kernels").glob("*/__init__.py")
)

setup(
    packages=[
        "transfer_kernels",
        "transfer_kernels.metrics",
        "transfer_kernels.kernels",
        *kernel_packages,
    ],
    package_dir={"transfer_kernels.kernels": "kernels"},
    ext_modules=[native_extension()],
    cmdclass={"build_ext": BuildNative},
)
