"""Objects of the compiled modules, kept in build/objects and made again only when they must be.

An object is kept under the digest of its command and of its compiler's version; it is stale when
the source, or a header that the compiler saw it include, is newer than the start of its
compilation. All paths are relative to the source tree's root, the working directory of a build, so
that every way to build (in place, editable, a wheel, in isolation or not) finds the same objects.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OBJECTS = Path("build", "objects")
INCLUDE = Path("build", "include")
COMPILE_COMMANDS = Path("compile_commands.json")


class BuildError(RuntimeError):
    """A tool failed; the message is one line."""


@dataclass(frozen=True)
class Compilation:
    """A source and the command that compiles it, less the names of the files.

    The label is the readable part of the folder's name: the module and what else sets it apart.
    """

    source: str
    command: tuple[str, ...]
    label: str

    @property
    def object(self):
        """Path of the object."""
        identity = "\0".join([*self.command, compiler_version(self.command)])
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        return OBJECTS / f"{self.label}-{digest}" / f"{self.source}.o"

    @property
    def arguments(self):
        """The whole command."""
        return [*self.command, "-c", self.source, "-o", str(self.object)]

    def run(self):
        """Compile, unless the object is up to date; returns its path."""
        target = self.object
        listed = target.with_suffix(".d")
        if is_current(target, listed):
            return str(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Another build of this tree may be under way: each writes files of its own, and renames.
        part = target.with_name(f"{os.getpid()}-{target.name}")
        part_listed = part.with_suffix(".d")
        command = [*self.command, "-MMD", "-MF", str(part_listed), "-c", self.source]
        started = time.time()
        run_tool([*command, "-o", str(part)], f"{self.label}: {self.source}")
        os.utime(part, (started, started))  # an edit during the compilation counts as newer
        part_listed.replace(listed)
        part.replace(target)
        return str(target)


@cache
def _version_of(program):
    try:
        done = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise BuildError(f"the compiler {program[0]} is not installed") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"the compiler {program[0]} does not run ({error})") from None
    return done.stdout


def compiler_version(command):
    """What the compiler says of its version: the words before the first option are the compiler."""
    options = [i for i, word in enumerate(command) if word.startswith("-")]
    return _version_of(tuple(command[: options[0]] if options else command))


def is_current(target, listed):
    """Whether the object is newer than all that the list of its dependencies names."""
    try:
        made = target.stat().st_mtime
        return all(os.stat(path).st_mtime < made for path in dependencies(listed.read_text()))
    except OSError:  # something is not there, perhaps a header that was renamed
        return False


def dependencies(text):
    """The files that a rule in make's syntax, as compilers write them with -MF, depends on."""
    _, _, listed = text.replace("\\\n", " ").partition(": ")
    words = re.findall(r"(?:\\.|\S)+", listed)
    return [re.sub(r"\\(.)", r"\1", word).replace("$$", "$") for word in words]


def run_tool(command, what):
    """Run a compiler or linker, saying so.

    Raises
    ------
    BuildError
        With the first line in which the tool speaks of an error, after all that it said.
    """
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed") from None
    print(what if done.returncode == 0 else shlex.join(command), flush=True)
    if done.stdout:
        print(done.stdout, end="", flush=True)
    if done.returncode != 0:
        raise BuildError(telling_line(done.stdout) or f"{command[0]} failed: {done.returncode}")


def telling_line(output):
    """The line of a failed tool's output that says most: its first error, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b|undefined reference", line, re.I)]
    return (errors or lines[-1:] or [""])[0]


def lasting_headers(package, version, folder):
    """A copy of a package's headers under build/include; returns its path.

    pip's isolated builds install pybind11 anew, each time elsewhere: with a copy, commands stay the
    same, and compile_commands.json holds when the isolated environment is gone.
    """
    kept = INCLUDE / f"{package}-{version}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f"{os.getpid()}-{kept.name}")
        shutil.copytree(folder, part, dirs_exist_ok=True)
        try:
            part.replace(kept)
        except OSError:  # another build was faster
            shutil.rmtree(part)
    return str(kept)


def write_compile_commands(compilations, labels, path=COMPILE_COMMANDS):
    """Enter the compilations in compile_commands.json, for clangd and clang-tidy.

    Entries whose label is not among `labels`, those of modules that this build left be, stay as
    they are if their source is still there.
    """
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError):
        entries = []

    def label_of(entry):
        return Path(entry["output"]).relative_to(OBJECTS).parts[0].rpartition("-")[0]

    entries = [e for e in entries if label_of(e) not in labels and Path(e["file"]).exists()]
    entries += [
        {
            "directory": os.getcwd(),
            "file": compilation.source,
            "arguments": compilation.arguments,
            "output": str(compilation.object),
        }
        for compilation in compilations
    ]
    # For one source clangd takes the first: that on the host rather than nvcc's.
    entries.sort(key=lambda entry: (entry["file"], "nvcc" in entry["arguments"][0]))
    path.write_text(json.dumps(entries, indent=1) + "\n")
