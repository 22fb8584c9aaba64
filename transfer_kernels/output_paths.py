"""Refuse before the work what could not be written after it."""

from __future__ import annotations

import os
from pathlib import Path


def check_table(path: Path | None, option: str = "--out") -> None:
    """Raise ValueError unless a .csv or .json file can be written there, if there is a path."""
    if path is None:
        return
    if path.suffix not in (".csv", ".json"):
        raise ValueError(f"{option} {path}: the file must end in .csv or .json")
    _check_folder(path, option)


def check_picture(path: Path | None, option: str = "--plot") -> None:
    """Raise unless a picture can be drawn and written there, if there is a path."""
    if path is None:
        return
    from .plots import FORMATS, require_matplotlib

    require_matplotlib()
    if path.suffix not in FORMATS:
        raise ValueError(f"{option} {path}: the file must end in {', '.join(FORMATS)}")
    _check_folder(path, option)


def _check_folder(path: Path, option: str) -> None:
    if not os.access(path.parent, os.W_OK):
        raise ValueError(
            f"{option} {path}: the folder {path.parent} does not exist or cannot be written"
        )
