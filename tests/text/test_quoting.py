"""Values in messages: short, on one line, printable, whatever they are."""

import numpy as np
import pytest

from transfer_kernels.text.quoting import plain, several, shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("cat", "'cat'"),
        (3, "3"),
        (2.5, "2.5"),
        (np.str_("cat"), "'cat'"),
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (None, "None"),
        (b"ab", "b'ab'"),
        (("a", 1), "('a', 1)"),
        ("a\x1b[31m\nb\u202e", r"'a\x1b[31m\nb\u202e'"),
        ("\udcff", r"'\udcff'"),
        ("x" * 60, "'" + "x" * 60 + "'"),
        ("x" * 70, "'" + "x" * 60 + "'... (70 characters)"),
        (b"x" * 70, "b'" + "x" * 60 + "'... (70 bytes)"),
    ],
)
def test_shown(value, expected):
    assert shown(value) == expected


class Loud:
    def __repr__(self):
        return "\x1b[2J" + "y" * 100_000


class Broken:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    "make",
    [
        Loud,
        Broken,
        lambda: 10**5000,
        lambda: ["z" * 1000] * 1000,
        lambda: {f"image{i}": np.zeros(3) for i in range(10_000)},
        lambda: np.arange(10_000),
        lambda: np.array(["\n" * 5000], dtype=object),
        lambda: "\x00" * 10_000,
    ],
)
def test_whatever_is_shown_is_short_and_printable(make):
    text = shown(make())
    assert 0 < len(text) < 300
    assert text.isprintable()


def test_plain_keeps_both_ends_and_escapes():
    assert plain("zoo/é/a.npy") == "zoo/é/a.npy"
    assert plain("a\nb\x1b") == r"a\nb\x1b"
    cut = plain("/begin/" + "x" * 1000 + "/end.npy")
    assert cut.startswith("/begin/") and cut.endswith("/end.npy") and len(cut) == 300
    assert plain("x" * 1000, None) == "x" * 1000
    assert plain("abcdefghij", 8) == "ab...hij"


def test_several_names_the_first():
    assert several(["a", "b"]) == "'a', 'b'"
    assert several([]) == ""
    assert several(["a", "b\n"], quoted=False) == r"a, b\n"
    assert several(f"m{i}" for i in range(10)) == "'m0', 'm1', 'm2', 'm3', 'm4', 'm5' and 4 more"
