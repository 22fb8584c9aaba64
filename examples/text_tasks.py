"""Text tasks of the second history: windows of bytes from the sources of Python's own library.

Every task labels windows of `WINDOW` bytes. The texts are the files of the standard library, in the
order of their names: those that pre-training sees, those that tasks train on and those that tasks
are tested on are different files.
"""

import ast
import io
import sysconfig
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW = 48
Windows = NDArray[np.uint8]
PACKAGES = ("asyncio", "email", "json", "logging", "unittest", "xml", "http", "multiprocessing")
PARTS = ("pretrain", "train", "test")


@cache
def texts(kind: str, part: str) -> bytes:
    """Return all text of a kind ("code", "docstrings", "comments", a package) in a part."""
    root = Path(sysconfig.get_paths()["stdlib"])
    folder = root / kind if kind in PACKAGES else root
    found = []
    files = folder.rglob("*.py") if kind in PACKAGES else folder.glob("*.py")
    for place, path in enumerate(sorted(files)):
        if PARTS[place % len(PARTS)] != part:
            continue
        source = path.read_text(encoding="utf-8", errors="replace")
        found.append(_extracted(source, kind))
    return "\n".join(found).encode("ascii", "replace")


def _extracted(source: str, kind: str) -> str:
    if kind == "docstrings":
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
        return "\n".join(text for node in nodes if (text := ast.get_docstring(node)))
    if kind == "comments":
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        return "\n".join(t.string for t in tokens if t.type == tokenize.COMMENT)
    return source


def windows(kind: str, part: str, n: int, rng: np.random.Generator) -> Windows:
    """Draw windows (n, WINDOW) of a text."""
    text = np.frombuffer(texts(kind, part), dtype=np.uint8)
    starts = rng.integers(len(text) - WINDOW, size=n)
    return text[starts[:, None] + np.arange(WINDOW)]


Sample = Callable[[str, int, np.random.Generator], tuple[Windows, NDArray[np.int64]]]


def among(*kinds: str) -> Sample:
    """Which kind of text?"""

    def sample(part: str, n: int, rng: np.random.Generator) -> tuple[Windows, NDArray[np.int64]]:
        labels = rng.integers(len(kinds), size=n)
        parts = [windows(kind, part, n, rng) for kind in kinds]
        return np.stack(parts)[labels, np.arange(n)], labels

    return sample


def changed(kind: str, *changes: Callable[[Windows, np.random.Generator], Windows]) -> Sample:
    """Which of some changes was made to the windows?"""

    def sample(part: str, n: int, rng: np.random.Generator) -> tuple[Windows, NDArray[np.int64]]:
        labels = rng.integers(len(changes), size=n)
        plain = windows(kind, part, n, rng)
        return np.stack([change(plain, rng) for change in changes])[labels, np.arange(n)], labels

    return sample


def by_rule(kind: str, rule: Callable[[Windows], NDArray[np.int64]]) -> Sample:
    """Label windows by what they hold."""

    def sample(part: str, n: int, rng: np.random.Generator) -> tuple[Windows, NDArray[np.int64]]:
        found = windows(kind, part, n, rng)
        return found, rule(found)

    return sample


def same(x: Windows, rng: np.random.Generator) -> Windows:
    """Leave the windows as they are."""
    return x


def backwards(x: Windows, rng: np.random.Generator) -> Windows:
    """Turn the windows around."""
    return x[:, ::-1]


def swapped(x: Windows, rng: np.random.Generator) -> Windows:
    """Swap the halves."""
    return np.roll(x, WINDOW // 2, axis=1)


def shuffled(x: Windows, rng: np.random.Generator) -> Windows:
    """Put the bytes in a random order."""
    return rng.permuted(x, axis=1)


def noisy(share: float) -> Callable[[Windows, np.random.Generator], Windows]:
    """Replace a share of the bytes by random letters."""

    def change(x: Windows, rng: np.random.Generator) -> Windows:
        letters = rng.integers(97, 123, size=x.shape).astype(np.uint8)
        return np.where(rng.random(x.shape) < share, letters, x)

    return change


def without(byte: str) -> Callable[[Windows, np.random.Generator], Windows]:
    """Replace a character by "x"."""
    return lambda x, rng: np.where(x == ord(byte), np.uint8(ord("x")), x)


def upper(x: Windows, rng: np.random.Generator) -> Windows:
    """Turn small letters into capitals."""
    return np.where((x >= 97) & (x <= 122), x - 32, x).astype(np.uint8)


def _many(x: Windows, low: str, high: str, least: int) -> NDArray[np.int64]:
    return (((x >= ord(low)) & (x <= ord(high))).sum(axis=1) >= least).astype(np.int64)


#: Name to sample and number of classes.
TARGETS: dict[str, tuple[Sample, int]] = {
    "kind_code_docstrings": (among("code", "docstrings"), 2),
    "kind_code_comments": (among("code", "comments"), 2),
    "kind_docstrings_comments": (among("docstrings", "comments"), 2),
    "kind_three": (among("code", "docstrings", "comments"), 3),
    "package_asyncio_email": (among("asyncio", "email"), 2),
    "package_json_logging": (among("json", "logging"), 2),
    "package_unittest_xml": (among("unittest", "xml"), 2),
    "package_http_multiprocessing": (among("http", "multiprocessing"), 2),
    "package_four": (among(*PACKAGES[:4]), 4),
    "package_other_four": (among(*PACKAGES[4:]), 4),
    "package_eight": (among(*PACKAGES), 8),
    "order_backwards": (changed("docstrings", same, backwards), 2),
    "order_code_backwards": (changed("code", same, backwards), 2),
    "order_swapped": (changed("docstrings", same, swapped), 2),
    "order_shuffled": (changed("comments", same, shuffled), 2),
    "order_three": (changed("code", same, swapped, shuffled), 3),
    "noise_two": (changed("docstrings", same, noisy(0.1)), 2),
    "noise_four": (changed("code", same, noisy(0.1), noisy(0.25), noisy(0.5)), 4),
    "lost_e": (changed("docstrings", same, without("e")), 2),
    "lost_letter": (changed("comments", without("a"), without("e"), without("t")), 3),
    "case": (changed("docstrings", same, upper), 2),
    "holds_digit": (by_rule("code", lambda x: _many(x, "0", "9", 1)), 2),
    "holds_capitals": (by_rule("docstrings", lambda x: _many(x, "A", "Z", 2)), 2),
    "holds_line_break": (by_rule("code", lambda x: _many(x, "\n", "\n", 2)), 2),
}


def group_of(task: str) -> str:
    """Name what a task is made by: tasks of the same are no independent evidence."""
    return task.partition("_")[0]
