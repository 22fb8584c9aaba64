"""Refuse before the work what could not be written after it."""

from __future__ import annotations

import os
from pathlib import Path

from ..text.quoting import plain


def check_table(path: Path | None, option: str = "--out") -> None:
    """Raise ValueError unless a .csv or .json file can be written there, if there is a path."""
    if path is None:
        return
    if path.suffix not in (".csv", ".json"):
        raise ValueError(f"{option} {plain(path)}: the file must end in .csv or .json")
    _check_folder(path, option)


def check_picture(path: Path | None, option: str = "--plot") -> None:
    """Raise unless a picture can be drawn and written there, if there is a path."""
    if path is None:
        return
    from ..display.plots import FORMATS, require_matplotlib

    require_matplotlib()
    if path.suffix not in FORMATS:
        raise ValueError(f"{option} {plain(path)}: the file must end in {', '.join(FORMATS)}")
    _check_folder(path, option)


def _check_folder(path: Path, option: str) -> None:
    if path.is_dir():
        raise ValueError(f"{option} {plain(path)}: is a folder; name a file")
    folder = path.parent
    if path.is_symlink():  # what it leads to is what will be written
        folder = Path(os.path.realpath(path)).parent
    if not os.access(folder, os.W_OK):
        raise ValueError(
            f"{option} {plain(path)}: the folder {plain(folder)} does not exist or cannot be "
            "written"
        )
