"""Fitted recommenders on disk: a folder with a JSON file and a safetensors file, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optional_packages import require
from ..score_files import write_atomically

FORMAT = 1


def save_state(
    folder: str | Path, name: str, content: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]
) -> None:
    """Write ``name.json`` and ``name.safetensors`` into a folder, which is made if need be.

    Raises
    ------
    ImportError
        If safetensors is not installed.
    """
    packed = _safetensors().save({k: np.ascontiguousarray(array) for k, array in tensors.items()})
    text = json.dumps({"format": FORMAT, **content}, indent=1, ensure_ascii=False) + "\n"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.safetensors", packed)
    write_atomically(folder / f"{name}.json", text)


def load_state(folder: str | Path, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the content and the tensors that `save_state` has written.

    Raises
    ------
    ValueError
        If a file is damaged or of another version.
    FileNotFoundError
        If one is missing.
    """
    text, packed = Path(folder) / f"{name}.json", Path(folder) / f"{name}.safetensors"
    for path in (text, packed):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
    try:
        content = json.loads(text.read_text(encoding="utf-8"))
        version = content.pop("format")
    except (ValueError, KeyError, AttributeError):
        raise ValueError(f"{text}: is damaged or something else") from None
    if version != FORMAT:
        raise ValueError(
            f"{text}: is of format {version}; this version of the package reads {FORMAT}"
        )
    library = _safetensors()
    try:
        return content, library.load(packed.read_bytes())
    except Exception as error:  # the library's own kind of error
        raise ValueError(f"{packed}: is damaged ({error})") from None


def under(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors whose names start with a prefix, by the rest of their names."""
    return {k.removeprefix(prefix): array for k, array in tensors.items() if k.startswith(prefix)}


def _safetensors() -> Any:
    return require("safetensors.numpy", "load", use="saving and loading", extra="recommend")
