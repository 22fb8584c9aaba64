"""Text on its way to a terminal or pipe: never the reason why a finished run is lost.

Streams may be closed, full, without a reader, or in an encoding that lacks a character.
"""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .quoting import plain

PROGRAM = "transfer-kernels"

#: What stands for our own characters where an encoding lacks them; others become backslash codes.
_SUBSTITUTES = {
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{EN DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{GREEK SMALL LETTER TAU}": "tau",
    "\N{MULTIPLICATION SIGN}": "x",
}
_HANDLER = "transfer_kernels.substitutes"


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Error handler for encoders."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(c, _code(c)) for c in lacking), error.end


def _code(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(_HANDLER, _substitute)


def encodable(text: str, stream: Any = None) -> str:
    """Return a text with everything replaced that a stream, by default stdout, cannot encode."""
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None)
    if not isinstance(encoding, str) or text.isascii():
        return text
    try:
        return text.encode(encoding, _HANDLER).decode(encoding)
    except (LookupError, UnicodeError):
        return text


def width_of_stdout() -> int | None:
    """Characters a line of the terminal that stdout is, or COLUMNS where it is set; else None."""
    try:
        is_terminal = sys.stdout.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        is_terminal = False
    columns = shutil.get_terminal_size((0, 0)).columns
    return columns if columns > 0 and (is_terminal or os.environ.get("COLUMNS")) else None


# ---------------------------------------------------------------------------- the command's streams


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Let nothing raise that stdout or stderr cannot encode, and no file take a closed one's place.

    A file that is opened where ``>&-`` has closed descriptor 1 would get whatever libraries print.
    """
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
    changed = []
    for stream in (sys.stdout, sys.stderr):
        before = getattr(stream, "errors", None)
        if before is not None and hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=_HANDLER)
                changed.append((stream, before))
    try:
        yield
    finally:
        for stream, before in changed:
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=before)


def say(text: str) -> None:
    """Print a text on stdout, at once. A reader that has left, as ``head`` does, is no error.

    Raises
    ------
    OSError
        If stdout is closed or cannot be written, as on a full disk.
    """
    if sys.stdout is None:
        raise OSError("standard output is closed, so that nothing was printed")
    try:
        print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise OSError(error.errno, error.strerror, "standard output") from None


def note(text: str) -> None:
    """Write one line on stderr, if there is one that can be written."""
    line = plain(" ".join(text.splitlines()), None)
    _on_stderr(f"{PROGRAM}: {line}\n")


def usage(text: str, stream: Any) -> None:
    """Write argparse's help or complaints, of any number of lines, on stdout or stderr."""
    lines = "\n".join(plain(line, None) for line in text.split("\n"))
    if stream is sys.stdout and stream is not sys.stderr:
        say(lines.removesuffix("\n"))
    else:
        _on_stderr(lines)


def _on_stderr(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        _silence(sys.stderr)


def _silence(stream: Any) -> None:
    """Let the rest go nowhere, so that the interpreter does not complain of it at exit."""
    with suppress(OSError, ValueError):
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, stream.fileno())
        finally:
            os.close(sink)


def deliver(*steps: Callable[[], object]) -> None:
    """Take every step that hands out a result, whatever becomes of the others.

    Raises
    ------
    Exception
        What the first step that failed has raised; of the others a note is made.
    """
    failures: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:
            failures.append(error)
    for other in failures[1:]:
        note(f"error: {described(other)}")
    if failures:
        raise failures[0]


def described(error: BaseException) -> str:
    """Return what an error says, without Python's dressing of system errors."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError) and not str(error):
        return "out of memory"
    return str(error) or type(error).__name__


# ---------------------------------------------------------------------------- progress


class _Unfailing:
    """A stream of which no write raises: progress is not worth a run."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(encodable(text, self._stream))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def progress_bar(
    total: int,
    progress: bool | None = None,
    *,
    unit: str = "it",
    initial: int = 0,
    title: str | None = None,
    leave: bool = False,
) -> Any:
    """Return a progress bar on stderr.

    Parameters
    ----------
    total : int
    progress : bool, optional
        Whether to show it; the default is to show it on a terminal only.
    unit, title : str
        What is counted, and what for.
    initial : int
        Where it starts.
    leave : bool
        Whether it stays at the end.
    """
    from tqdm import tqdm

    if progress is None:
        try:
            progress = sys.stderr.isatty()
        except (AttributeError, ValueError):  # there is none, or it is closed
            progress = False
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=None if title is None else plain(title, 80),
        disable=not progress or sys.stderr is None,
        leave=leave,
        file=None if sys.stderr is None else _Unfailing(sys.stderr),
    )
