"""One model's features read from disk; no format here can run code.

A zoo on disk is a folder with one file of features per model. `.npy`, `.safetensors` and `.pt` are
memory-mapped, so a file may be larger than the memory; `.npz` is loaded.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pathlike = str | Path


class FeatureFile(NamedTuple):
    """What one model's file holds: features (n, d) and, where they lie in it, labels (n,)."""

    features: Any
    labels: Any | None = None


def read_features(path: Pathlike) -> FeatureFile:
    """Read the features of one model, memory-mapped where the format allows it.

    Parameters
    ----------
    path : str or Path
        ``.npy``: the features. ``.npz``, ``.safetensors``, ``.pt``: an array named ``features``,
        or the only one in the file apart from ``labels``. A ``.pt`` file is a tensor or a
        dictionary of them, saved with ``torch.save``; reading it needs PyTorch.
        bfloat16 is widened to float32, without loss, where it comes from ``.safetensors``.

    Returns
    -------
    FeatureFile
        Its ``features`` may be read-only; a ``.pt`` file gives a CPU tensor.

    Raises
    ------
    ValueError
        If the suffix is unknown, the file is damaged, its arrays cannot be told apart, or it
        holds pickled Python objects, which are never loaded.
    FileNotFoundError
        If there is no such file.
    ImportError
        If a ``.pt`` file is read without PyTorch.
    """
    path = existing_file(path)
    reader = _FEATURE_READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: features are read from {listed(_FEATURE_READERS)} files")
    return reader(path)


def find_features(folder: Pathlike, exclude: Iterable[Pathlike] = ()) -> dict[str, Path]:
    """Find the feature files of a zoo: model name (file name without suffix) to path, sorted.

    Files named ``labels`` or ``truth``, hidden files and the files in ``exclude`` are passed over.

    Raises
    ------
    ValueError
        If the folder does not exist, holds no features, or holds two files for one model.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: is not a folder; name one with a file of features per model")
    passed_over = {Path(path).resolve() for path in exclude}
    zoo: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _FEATURE_READERS or not path.is_file():
            continue
        if path.stem in ("labels", "truth") or path.name.startswith("."):
            continue
        if path.resolve() in passed_over:
            continue
        if path.stem in zoo:
            raise ValueError(
                f"{folder}: both {zoo[path.stem].name} and {path.name} hold features of model "
                f"{path.stem!r}; keep one of them"
            )
        zoo[path.stem] = path
    if not zoo:
        raise ValueError(f"{folder}: holds no features ({listed(_FEATURE_READERS)} files)")
    return zoo


# ---------------------------------------------------------------------------- arrays


def _read_npy(path: Path) -> FeatureFile:
    return FeatureFile(map_npy(path))


def map_npy(path: Path) -> NDArray[Any]:
    """Map an .npy file into memory, read-only."""
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise ValueError(f"{path}: is an .npz archive; give it that suffix")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise _refused(path, error) from None


def _read_npz(path: Path) -> FeatureFile:
    with open_npz(path) as archive:
        return _pick(path, archive.files, lambda name: npz_member(path, archive, name))


def open_npz(path: Path) -> Any:
    """Open an .npz archive, whose arrays are loaded by `npz_member`."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: is not an .npz archive, or is damaged")
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _refused(path, error) from None


def npz_member(path: Path, archive: Any, name: str) -> NDArray[Any]:
    """Load one array of an archive."""
    try:
        array = archive[name]
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise _refused(path, error) from None
    if not isinstance(array, np.ndarray):  # NumPy gives other members of a zip as bytes
        raise ValueError(f"{path}: {name!r} is no array")
    return array


_SAFETENSORS_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_LONGEST_SAFETENSORS_HEADER = 100_000_000  # bytes, the limit of the format


def _read_safetensors(path: Path) -> FeatureFile:
    """Map the tensors of a file: 8 bytes of header length, a JSON header, the raw bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if size < 8 or header_size > min(size - 8, _LONGEST_SAFETENSORS_HEADER):
            raise ValueError(f"{path}: is not a .safetensors file, or is cut short")
        try:
            header = json.loads(file.read(header_size))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, AttributeError, RecursionError):
            raise ValueError(f"{path}: the header of this .safetensors file is damaged") from None
    return _pick(
        path,
        list(entries),
        lambda name: _map_safetensor(path, name, entries[name], 8 + header_size),
    )


def _map_safetensor(path: Path, name: str, entry: Any, data_start: int) -> NDArray[Any]:
    try:
        kind, shape = str(entry["dtype"]), tuple(map(int, entry["shape"]))
        begin, end = map(int, entry["data_offsets"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: the header of {name!r} is damaged") from None
    if kind not in _SAFETENSORS_TYPES:
        raise ValueError(
            f"{path}: {name!r} is stored as {kind}; save it as float16, bfloat16 or float32"
        )
    dtype = np.dtype(_SAFETENSORS_TYPES[kind])
    if min((begin, *shape)) < 0 or end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{path}: the header of {name!r} is damaged")
    if data_start + end > path.stat().st_size:
        raise ValueError(f"{path}: is cut short; {name!r} reaches past the end of the file")
    if end == begin:
        return np.empty(shape, dtype)
    array = np.memmap(path, dtype=dtype, mode="r", offset=data_start + begin, shape=shape)
    if kind != "BF16":
        # Files of the first writers of the format may start their data at any byte.
        return array if array.flags.aligned else np.array(array)
    # bfloat16 is the upper half of a float32.
    wide = array.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def _read_pt(path: Path) -> FeatureFile:
    try:
        import torch
    except ImportError:
        raise ImportError(
            f'{path}: reading .pt files needs PyTorch: pip install "transfer_kernels[torch]"'
        ) from None
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: is not in the format that torch.save writes since PyTorch 1.6; load it where "
            "you trust it and save it again"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise ValueError(
            f"{path}: was refused, since it holds something else than tensors or is damaged; "
            "loading pickled objects could run code. Save "
            f"torch.save({{'features': features}}, path) ({type(error).__name__})"
        ) from None
    if isinstance(content, torch.Tensor):
        return FeatureFile(content)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}; a tensor or dict is needed")
    held = [k for k, v in content.items() if isinstance(v, torch.Tensor) or k == "labels"]
    return _pick(path, held, content.__getitem__)


def _pick(path: Path, names: Sequence[Any], load: Callable[[Any], Any]) -> FeatureFile:
    """Load ``features``, or the only array apart from ``labels``; and the labels if there are."""
    others = [name for name in names if name != "labels"]
    if "features" in names:
        chosen = "features"
    elif len(others) == 1:
        chosen = others[0]
    else:
        held = ", ".join(map(repr, names)) or "no array"
        raise ValueError(
            f"{path}: holds {held}; name the features 'features', or store nothing else but "
            "'labels' beside them"
        )
    return FeatureFile(load(chosen), load("labels") if "labels" in names else None)


# ---------------------------------------------------------------------------- helpers


def existing_file(path: Pathlike) -> Path:
    """Return the path, or raise FileNotFoundError."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def _refused(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    if "pickle" in reason.lower() or "python objects" in reason.lower():
        return ValueError(
            f"{path}: holds pickled Python objects; it was refused, since loading them could run "
            "code. Save a plain numeric array"
        )
    return ValueError(f"{path}: is damaged or of another format ({reason})")


def listed(suffixes: Iterable[str]) -> str:
    """Write a list as text: "a, b and c"."""
    *most, last = suffixes
    return f"{', '.join(most)} and {last}" if most else last


_FEATURE_READERS: dict[str, Callable[[Path], FeatureFile]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pt": _read_pt,
}
