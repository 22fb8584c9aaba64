"""What setup.py decides: for which GPUs, with which nvcc and flags, which objects are made anew."""

import json
import os
import runpy
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # `build_support` is not installed

from build_support import cuda, objects  # noqa: E402


@pytest.mark.parametrize(
    "listed,archs",
    [("80;90", ["80", "90"]), ("8.0 9.0+PTX", ["80", "90"]), ("90a, 90a", ["90a"])],
)
def test_architectures_are_listed_as_pytorch_lists_them(listed, archs):
    assert cuda.parse_architectures(listed) == archs


@pytest.mark.parametrize("listed", ["", " ; ", "hopper", "9"])
def test_what_is_no_architecture(listed):
    with pytest.raises(ValueError, match="compute capability"):
        cuda.parse_architectures(listed)


def test_architectures_are_those_asked_for_else_the_machines():
    asked = {"TRANSFER_KERNELS_CUDA_ARCHS": "100", "TORCH_CUDA_ARCH_LIST": "8.0"}
    assert cuda.wanted_architectures(asked, lambda: ["90"]) == ["100"]
    del asked["TRANSFER_KERNELS_CUDA_ARCHS"]
    assert cuda.wanted_architectures(asked, lambda: ["90"]) == ["80"]
    assert cuda.wanted_architectures({}, lambda: ["75", "90"]) == ["90"]
    required = {"TRANSFER_KERNELS_REQUIRE_CUDA": "1"}
    assert cuda.wanted_architectures(required, list) == ["80", "90", "100"]


@pytest.mark.parametrize("found,reason", [([], "no GPU.*CUDA_ARCHS=80;90"), (["75"], "is 75")])
def test_without_a_gpu_that_serves_nothing_is_built(found, reason):
    with pytest.raises(cuda.Skipped, match=reason):
        cuda.wanted_architectures({}, lambda: found)


def test_nvcc_on_path_serves_where_cuda_home_is_wrong(tmp_path):
    nvcc = tmp_path / "right" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.touch(0o755)
    path = {"PATH": str(nvcc.parent)}
    assert cuda.find_nvcc(path) == (str(nvcc), None)
    found, remark = cuda.find_nvcc({**path, "CUDA_HOME": str(tmp_path / "wrong")})
    assert found == str(nvcc)
    assert "wrong holds no bin/nvcc" in remark and str(nvcc) in remark
    assert cuda.find_nvcc({"PATH": str(tmp_path)}) == (None, None)


# Objects: build_support/objects.py.

COMPILER = """#!/bin/sh
# Takes a compiler's arguments; lists what the source includes and makes no code.
[ "$1" = --version ] && {{ echo "compiler {version}"; exit; }}
while [ $# -gt 0 ]; do
    case $1 in -MF) listed=$2 ;; -c) source=$2 ;; -o) object=$2 ;; esac
    shift
done
echo "$source" >> runs
grep -q '#error' "$source" && {{ echo "$source:1: error: as told"; echo "1 error"; exit 1; }}
[ -e meanwhile ] && {{ sleep 0.02; touch "$(cat meanwhile)"; rm meanwhile; }}
echo made > "$object"
printf '%s: %s \\\\\n %s\n' "$object" "$source" "$(sed -n 's/#include //p' "$source")" > "$listed"
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A source tree, the working directory, with a compiler that notes its runs."""
    monkeypatch.chdir(tmp_path)
    objects._version_of.cache_clear()
    compiler("cc")
    Path("csrc").mkdir()
    for name in ("one", "two"):
        Path("csrc", f"{name}.cpp").write_text("#include csrc/shared.h\n")
    Path("csrc", "shared.h").write_text("")
    for path in Path("csrc").iterdir():
        os.utime(path, (0, 0))
    yield tmp_path
    objects._version_of.cache_clear()


def compiler(name, version="1.0"):
    Path(name).write_text(COMPILER.format(version=version))
    Path(name).chmod(0o755)


def compilation(*flags, source="csrc/one.cpp", program="./cc", label="release-_native"):
    return objects.Compilation(source, (program, *flags), label)


def runs():
    """How often the compiler has run."""
    return len(Path("runs").read_text().splitlines()) if Path("runs").exists() else 0


def test_an_object_is_made_once(tree):
    made = compilation("-O3").run()
    assert Path(made).read_text() == "made\n" and made.startswith("build/objects/release-_native-")
    assert compilation("-O3").run() == made
    assert runs() == 1
    assert sorted(path.name for path in Path(made).parent.iterdir()) == ["one.cpp.d", "one.cpp.o"]


@pytest.mark.parametrize("path", ["csrc/one.cpp", "csrc/shared.h"])
def test_an_object_older_than_what_it_is_made_of_is_made_again(tree, path):
    compilation().run()
    compilation(source="csrc/two.cpp").run()
    Path(path).touch()
    os.utime(path, (time.time() + 5,) * 2)
    compilation().run()
    compilation(source="csrc/two.cpp").run()
    assert runs() == (3 if path == "csrc/one.cpp" else 4)


def test_an_object_is_no_newer_than_the_start_of_its_compilation(tree):
    """An edit while the compiler ran may or may not be in the object."""
    Path("meanwhile").write_text("csrc/shared.h")
    compilation().run()
    compilation().run()
    assert runs() == 2
    compilation().run()
    assert runs() == 2


@pytest.mark.parametrize("lost", ["object", "list", "header"])
def test_what_is_missing_is_made_again(tree, lost):
    made = Path(compilation().run())
    if lost == "header":  # renamed, and the source with it
        Path("csrc/shared.h").rename("csrc/common.h")
        Path("csrc/one.cpp").write_text("#include csrc/common.h\n")
        os.utime("csrc/one.cpp", (0, 0))
    else:
        (made if lost == "object" else made.with_suffix(".d")).unlink()
    compilation().run()
    compilation().run()
    assert runs() == 2


def test_other_flags_and_other_compilers_have_objects_of_their_own(tree):
    compiler("cc-2", version="2.0")
    compilations = [
        compilation("-O3"),
        compilation("-O2"),
        compilation("-O3", "-mavx2"),
        compilation("-O3", program="./cc-2"),
        compilation("-O3", label="debug-_native"),
    ]
    assert len({one.run() for one in compilations}) == len(compilations) == runs()
    for one in compilations:
        one.run()
    assert runs() == len(compilations)
    before = compilation("-O3").object
    compiler("cc", version="1.1")  # an upgrade
    objects._version_of.cache_clear()
    assert compilation("-O3").object != before


def test_a_failed_compilation_leaves_no_object(tree, capsys):
    Path("csrc/one.cpp").write_text("#error\n")
    for _ in range(2):
        with pytest.raises(objects.BuildError, match="^csrc/one.cpp:1: error: as told$"):
            compilation("-O3").run()
    assert runs() == 2
    assert "./cc -O3 -MMD" in capsys.readouterr().out
    assert not list(Path("build").rglob("*.o"))


def test_a_compiler_that_is_not_there(tree):
    with pytest.raises(objects.BuildError, match="the compiler ./c\\+\\+ is not installed"):
        compilation(program="./c++").run()
    Path("c++").write_text("#!/bin/sh\nexit 1\n")
    Path("c++").chmod(0o755)
    with pytest.raises(objects.BuildError, match="the compiler ./c\\+\\+ does not run"):
        compilation(program="./c++").run()


@pytest.mark.parametrize(
    "text,paths",
    [
        ("one.o: one.cpp shared.h\n", ["one.cpp", "shared.h"]),
        ("one.o: one.cpp \\\n  a.h \\\n\tb.h\n", ["one.cpp", "a.h", "b.h"]),
        ("one.o: a\\ b/one.cpp \\\n a\\ b/c\\ d.h", ["a b/one.cpp", "a b/c d.h"]),
        ("one.o: price$$.h number\\#1.h\n", ["price$.h", "number#1.h"]),
        ("one.o:\\\n one.cpp\n", ["one.cpp"]),
        ("my\\ folder/one.o: one.cpp\n", ["one.cpp"]),
    ],
)  # fmt: skip
def test_lists_of_dependencies(text, paths):
    assert objects.dependencies(text) == paths


@pytest.mark.parametrize("program", [p for p in ("g++", "clang++", "c++") if shutil.which(p)])
def test_lists_as_compilers_write_them(tree, program):
    names = ["a header.h", "money$.h", "number#1.h", f"{'long' * 40}.h"]
    Path("a folder").mkdir()
    for name in names:
        Path("a folder", name).touch()
    Path("a folder/one.cpp").write_text("".join(f'#include "{name}"\n' for name in names))
    made = objects.Compilation("a folder/one.cpp", (program, "-O0"), "release-test").run()
    listed = objects.dependencies(Path(made).with_suffix(".d").read_text())
    assert listed == ["a folder/one.cpp", *(f"a folder/{name}" for name in names)]
    assert objects.is_current(Path(made), Path(made).with_suffix(".d"))
    os.utime("a folder/money$.h", (time.time() + 5,) * 2)
    assert not objects.is_current(Path(made), Path(made).with_suffix(".d"))


@pytest.mark.parametrize(
    "output,line",
    [
        ("In file a.h:\na.h:3: error: no x\n1 error generated.\n", "a.h:3: error: no x"),
        ("a.o: undefined reference to `f'\nld failed\n", "a.o: undefined reference to `f'"),
        ("something\nKilled\n\n", "Killed"),
        ("", ""),
    ],
)  # fmt: skip
def test_the_line_that_tells_most(output, line):
    assert objects.telling_line(output) == line


def test_headers_are_copied_once(tree):
    for text in ("first", "second"):
        Path("installed").mkdir(exist_ok=True)
        Path("installed", "header.h").write_text(text)
        kept = objects.lasting_headers("package", "1.0", "installed")
        assert Path(kept, "header.h").read_text() == "first"
    assert Path(objects.lasting_headers("package", "1.1", "installed"), "header.h").exists()


def test_compile_commands_keep_what_other_builds_entered(tree):
    def entries():
        return [
            (entry["file"], Path(entry["output"]).parts[2].rpartition("-")[0])
            for entry in json.loads(objects.COMPILE_COMMANDS.read_text())
        ]

    native = [compilation(source=f"csrc/{name}.cpp") for name in ("two", "one")]
    host = [compilation(label="release-_cuda_on_host")]
    objects.write_compile_commands(native, {"release-_native"})
    objects.write_compile_commands(host, {"release-_cuda_on_host"})
    assert sorted(entries()) == [
        ("csrc/one.cpp", "release-_cuda_on_host"),
        ("csrc/one.cpp", "release-_native"),
        ("csrc/two.cpp", "release-_native"),
    ]
    objects.write_compile_commands(native[1:], {"release-_native"})
    assert ("csrc/two.cpp", "release-_native") not in entries() and len(entries()) == 2
    Path("csrc/one.cpp").unlink()
    objects.write_compile_commands([], set())
    assert entries() == []
    objects.COMPILE_COMMANDS.write_text("half a fi")
    objects.write_compile_commands(native[:1], {"release-_native"})
    assert entries() == [("csrc/two.cpp", "release-_native")]


# Presets and switches of setup.py.

ADDRESS = "-fsanitize=address,undefined"
TESTING = ["-DTK_POISON=1", "-DTK_EMULATE_AVX512=1"]


@pytest.fixture
def native_commands(tree, monkeypatch):
    """Give `_native`'s compilations of an op's kernels for AVX2, and the others, by variables."""
    pytest.importorskip("pybind11")
    for path in ("some_op/some_op.cpp", "some_op/bind.cpp", "common/shared.cpp", "device/none.cpp"):
        Path("csrc", path).parent.mkdir(exist_ok=True)
        Path("csrc", path).touch()
    setuptools = pytest.importorskip("setuptools")

    def commands(**variables):
        for name in [name for name in os.environ if name.startswith("TRANSFER_KERNELS")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(setuptools, "setup", lambda **_: None)
        names = runpy.run_path(str(ROOT / "setup.py"))
        build = SimpleNamespace(compiler=SimpleNamespace(compiler_so_cxx=["./cc"]))
        made = list(names["NativeModule"]().compilations(build))
        isa = "avx2" if names["IS_X86"] else "baseline"
        kernels = [one for one in made if f"-DTK_ISA={isa}" in one.command]
        common = [one for one in made if not any("-DTK_ISA" in flag for flag in one.command)]
        assert [one.source for one in kernels] == ["csrc/some_op/some_op.cpp"]
        assert [one.source for one in common] == ["csrc/some_op/bind.cpp", "csrc/common/shared.cpp"]
        return kernels[0], common[0]

    return commands


@pytest.mark.parametrize(
    "variables,preset,there,not_there",
    [
        ({}, "release", ["-O3", "-g0"], ["-DTK_POISON=1", "-Werror"]),
        ({"BUILD": "debug"}, "debug", ["-Og", "-g", "-DTK_POISON=1"], ["-O3"]),
        ({"BUILD": "sanitize"}, "sanitize", [ADDRESS, "-O3", *TESTING], []),
        ({"SANITIZE": "thread"}, "sanitize", ["-fsanitize=thread", *TESTING], [ADDRESS]),
        ({"WERROR": "1"}, "release", ["-Werror"], []),
    ],
)  # fmt: skip
def test_presets(native_commands, variables, preset, there, not_there):
    kernels, common = native_commands(
        **{f"TRANSFER_KERNELS_{name}": value for name, value in variables.items()}
    )
    assert kernels.label.startswith(f"{preset}-_native-") and common.label == f"{preset}-_native"
    assert set(there) <= set(kernels.command) and not set(not_there) & set(kernels.command)
    assert any(flag.startswith("-Ibuild/include/pybind11-") for flag in common.command)
    assert not any("pybind11" in flag for flag in kernels.command)


def test_an_unknown_preset_is_refused(native_commands):
    with pytest.raises(ValueError, match="TRANSFER_KERNELS_BUILD='fast': it is release, debug or"):
        native_commands(TRANSFER_KERNELS_BUILD="fast")
