"""Arrays read from disk: `.npy`, `.npz`, `.safetensors` and `.pt`; no format here can run code.

What a file says of itself is checked against its size before anything is allocated. Features are
mapped where the format allows it, so that a file may be larger than the memory; labels are read.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..inputs.bfloat16 import BFloat16Matrix, widened
from ..optional_packages import require
from ..text.quoting import plain, several, shown
from .machine_memory import available_memory, format_bytes
from .mapped_reads import intact

Pathlike = str | Path

#: Suffixes of the formats, lower case.
SUFFIXES = (".npy", ".npz", ".safetensors", ".pt", ".pth")

_LONGEST_NPY_HEADER = 10_000  # characters, NumPy's own limit
_LONGEST_SAFETENSORS_HEADER = 100_000_000  # bytes, the limit of the format
_MOST_AXES = 32  # NumPy 1 has no more
_LONGEST_AXIS = 2**63 - 1
_CHUNK = 1 << 20


class ArrayFile:
    """The arrays of one file by name, each read when it is asked for.

    Attributes
    ----------
    path : Path
    names : list
        Names of the arrays; a file of one array without a name has the name None.
    """

    def __init__(self, path: Path, names: Sequence[Any], read: Callable[[Any, bool], Any]) -> None:
        self.path = path
        self.names = list(names)
        self._read = read

    def mapped(self, name: Any) -> Any:
        """Return an array, mapped where the format allows it: read-only, or a tensor.

        A matrix in bfloat16 of a ``.safetensors`` file is a `BFloat16Matrix`.
        """
        return self._read(name, True)

    def loaded(self, name: Any) -> Any:
        """Return an array in memory; in a ``.pt`` file it may be a list too."""
        return self._read(name, False)


def open_arrays(path: Path) -> ArrayFile:
    """Open an existing file of one of the `SUFFIXES`.

    Raises
    ------
    ValueError
        If it is damaged, cut short, or holds pickled Python objects, which are never loaded.
    ImportError
        If it is a ``.pt`` file and PyTorch is not installed.
    """
    return _OPENERS[path.suffix.lower()](path)


def existing_file(path: Pathlike) -> Path:
    """Return the path of a file that can be read without waiting for somebody to write it.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is a folder, a pipe, a socket or a device.
    """
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise ValueError(f"{plain(path)}: is a folder; name a file")
    if path.exists():
        raise ValueError(f"{plain(path)}: is no regular file but a pipe, socket or device")
    if path.is_symlink():
        raise FileNotFoundError(f"{plain(path)}: no such file; it is a link that leads nowhere")
    raise FileNotFoundError(f"{plain(path)}: no such file")


def listed(items: Iterable[str]) -> str:
    """Write a list as text: "a, b and c"."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


# ---------------------------------------------------------------------------- raw numbers in a file


class _Stored(NamedTuple):
    """Where the numbers of an array lie in a file, and how they are to be read."""

    dtype: np.dtype
    shape: tuple[int, ...]
    order: Any
    offset: int

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _read_stored(path: Path, stored: _Stored, mapped: bool) -> NDArray[Any]:
    """The numbers, mapped or in memory; ValueError where the file has become too short."""
    _require_whole(path, stored)
    if stored.n_bytes == 0:
        return _empty(path, stored)
    if mapped and stored.offset % stored.dtype.alignment == 0:
        try:
            return np.memmap(path, stored.dtype, "r", stored.offset, stored.shape, stored.order)
        except ValueError:  # it has shrunk since
            raise _cut_short(path) from None
    # Files of the first writers of safetensors may start their data at any byte.
    with path.open("rb") as file:
        file.seek(stored.offset)
        numbers = np.fromfile(file, stored.dtype, math.prod(stored.shape))
    if numbers.nbytes != stored.n_bytes:
        raise _cut_short(path)
    return numbers.reshape(stored.shape, order=stored.order)


def _empty(path: Path, stored: _Stored) -> NDArray[Any]:
    try:
        return np.empty(stored.shape, stored.dtype, stored.order)
    except ValueError:  # beside an extent of zero there is no bound but NumPy's
        raise _refused(path, f"shape {shown(stored.shape)}") from None


def _require_whole(path: Path, stored: _Stored) -> None:
    if stored.offset + stored.n_bytes > path.stat().st_size:
        raise _cut_short(path)


def _cut_short(path: Path) -> ValueError:
    return ValueError(f"{plain(path)}: is cut short: it ends before its numbers do")


def _refused(path: Path, why: object) -> ValueError:
    reason = plain(" ".join(str(why).split())) or type(why).__name__
    return ValueError(f"{plain(path)}: is damaged or of another format ({reason})")


def _pickled(path: Path) -> ValueError:
    return ValueError(
        f"{plain(path)}: holds pickled Python objects; it was refused, since loading them could "
        "run code. Save a plain numeric array"
    )


# ---------------------------------------------------------------------------- .npy


def _open_npy(path: Path) -> ArrayFile:
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            raise ValueError(f"{plain(path)}: is an .npz archive; give it that suffix")
        file.seek(0)
        stored = _npy_header(path, file)
    _require_whole(path, stored)
    return ArrayFile(path, [None], lambda _, mapped: _read_stored(path, stored, mapped))


def _npy_header(path: Path, file: BinaryIO) -> _Stored:
    """Read what an .npy file, or a member of an .npz archive, says of its array."""
    formats = np.lib.format
    try:
        version = formats.read_magic(file)
        readers = {(1, 0): (2, formats.read_array_header_1_0)}
        readers[(2, 0)] = (4, formats.read_array_header_2_0)
        if version not in readers:
            raise ValueError(f"version {version} of the format holds no plain numbers")
        width, read = readers[version]
        length = file.read(width)
        n_characters = int.from_bytes(length, "little")
        if n_characters > _LONGEST_NPY_HEADER:
            raise ValueError(f"its header has {n_characters} bytes")
        shape, fortran, dtype = read(io.BytesIO(length + file.read(n_characters)))
    except Exception as error:  # the header is evaluated as a literal, which fails in many ways
        raise _refused(path, error) from None
    if dtype.hasobject:
        raise _pickled(path)
    sizes_fit = all(0 <= extent <= _LONGEST_AXIS for extent in shape)
    if dtype.itemsize == 0 or len(shape) > _MOST_AXES or not sizes_fit:
        raise _refused(path, f"shape {shown(shape)} of {plain(str(dtype))}")
    return _Stored(dtype, shape, "F" if fortran else "C", file.tell())


# ---------------------------------------------------------------------------- .npz


def _open_npz(path: Path) -> ArrayFile:
    with _archive(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    return ArrayFile(path, names, lambda name, _: _npz_member(path, name))


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise ValueError(
            f"{plain(path)}: is not an .npz archive, or is damaged ({plain(str(error))})"
        ) from None


def _npz_member(path: Path, name: str) -> NDArray[Any]:
    with _archive(path) as archive:
        try:
            info = archive.getinfo(f"{name}.npy")
        except KeyError:
            raise ValueError(f"{plain(path)}: {shown(name)} is no array") from None
        with _opened(path, archive, info) as member:
            stored = _npy_header(path, member)
            if stored.offset + stored.n_bytes != info.file_size:
                raise _cut_short(path)
            _require_memory(path, name, stored.n_bytes)
            array = _empty(path, stored)
            numbers = array.ravel(order="K").view(np.uint8).data
            for start in range(0, len(numbers), _CHUNK):
                part = numbers[start : start + _CHUNK]
                part[:] = _unpacked(path, member, len(part))
            _unpacked(path, member, 0)  # at the end, where the checksum is compared
    return array


def _opened(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    try:
        return archive.open(info)
    except Exception as error:  # as where it is encrypted, or packed by an unknown method
        raise _refused(path, error) from None


def _unpacked(path: Path, member: BinaryIO, n_bytes: int) -> bytes:
    try:
        found = member.read(n_bytes or 1)
    except Exception as error:  # zlib's, lzma's and zipfile's own kinds
        raise _refused(path, error) from None
    if len(found) != n_bytes:
        raise _cut_short(path)
    return found


def _require_memory(path: Path, name: Any, n_bytes: int) -> None:
    available = available_memory()
    if n_bytes > available:
        raise ValueError(
            f"{plain(path)}: {shown(name)} takes {format_bytes(n_bytes)} unpacked, but "
            f"{format_bytes(available)} of memory are available; save it as .npy, which is read "
            "where it lies"
        )


# ---------------------------------------------------------------------------- .safetensors

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


def _open_safetensors(path: Path) -> ArrayFile:
    """Read the header: 8 bytes of its length, then JSON; the raw bytes follow."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if size < 8 or header_size > min(size - 8, _LONGEST_SAFETENSORS_HEADER):
            raise ValueError(f"{plain(path)}: is not a .safetensors file, or is cut short")
        try:
            header = json.loads(file.read(header_size))
            entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, AttributeError, RecursionError):
            raise ValueError(
                f"{plain(path)}: the header of this .safetensors file is damaged"
            ) from None
    start = 8 + header_size
    return ArrayFile(
        path, list(entries), lambda name, mapped: _tensor(path, name, entries[name], start, mapped)
    )


def _tensor(path: Path, name: str, entry: Any, data_start: int, mapped: bool) -> Any:
    damaged = ValueError(f"{plain(path)}: the header of {shown(name)} is damaged")
    try:
        kind, shape, (begin, end) = str(entry["dtype"]), entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise damaged from None
    if not isinstance(shape, list) or len(shape) > _MOST_AXES:
        raise damaged
    if any(type(x) is not int or not 0 <= x <= _LONGEST_AXIS for x in (begin, end, *shape)):
        raise damaged
    if kind not in _SAFETENSORS_TYPES:
        raise ValueError(
            f"{plain(path)}: {shown(name)} is stored as {plain(kind, 40)}; save it as float16, "
            "bfloat16 or float32"
        )
    stored = _Stored(np.dtype(_SAFETENSORS_TYPES[kind]), tuple(shape), "C", data_start + begin)
    if end - begin != stored.n_bytes:
        raise damaged
    array = _read_stored(path, stored, mapped)
    if kind != "BF16":
        return array
    return BFloat16Matrix(array) if mapped and array.ndim == 2 else widened(array)


# ---------------------------------------------------------------------------- .pt


def _open_pt(path: Path) -> ArrayFile:
    use = f"{plain(path)}: reading .pt files"
    torch = require("torch", "Tensor", use=use, extra="torch", title="PyTorch")
    with open(path, "rb") as file:  # is_zipfile says no to what it may not read
        is_archive = zipfile.is_zipfile(file)
    if not is_archive:
        raise ValueError(
            f"{plain(path)}: is not in the format that torch.save writes since PyTorch 1.6, or is "
            "damaged; load it where you trust it and save it again"
        )
    with _archive(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise _refused(path, "its parts are compressed, which torch.save never does")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise ValueError(
            f"{plain(path)}: was refused, since it holds something else than tensors or is "
            "damaged; loading pickled objects could run code. Save "
            f"torch.save({{'features': features}}, path) ({type(error).__name__})"
        ) from None
    if isinstance(content, torch.Tensor):
        return ArrayFile(path, [None], lambda _, mapped: _pt_entry(path, content, mapped))
    if not isinstance(content, dict):
        raise ValueError(
            f"{plain(path)}: holds a {type(content).__name__}; a tensor or dict is needed"
        )
    held = [k for k, v in content.items() if isinstance(v, torch.Tensor) or k == "labels"]
    return ArrayFile(path, held, lambda name, mapped: _pt_entry(path, content[name], mapped))


def _pt_entry(path: Path, entry: Any, mapped: bool) -> Any:
    import torch

    if not isinstance(entry, torch.Tensor):
        return entry
    what = ""
    if entry.is_meta:
        what = "without data (a meta tensor)"
    elif entry.layout != torch.strided or entry.is_quantized:
        what = "of sparse or quantised numbers"
    elif not _numpy_reads(entry.dtype):
        what = f"of {entry.dtype}"
    if what:
        raise ValueError(
            f"{plain(path)}: holds a tensor {what}; save it as float16, bfloat16 or float32"
        )
    if entry.numel() * entry.element_size() > entry.untyped_storage().nbytes():
        raise ValueError(
            f"{plain(path)}: holds a tensor of shape {tuple(entry.shape)} whose elements share "
            "their memory, as after expand(); save tensor.clone()"
        )
    entry = entry.detach()
    if mapped:
        return entry
    with intact(entry, path) as check:
        copy = entry.clone()
        check()
    return copy


def _numpy_reads(dtype: Any) -> bool:
    import torch

    if dtype == torch.bfloat16:
        return True
    try:
        torch.empty(0, dtype=dtype).numpy()
    except (TypeError, RuntimeError):
        return False
    return True


_OPENERS: dict[str, Callable[[Path], ArrayFile]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".safetensors": _open_safetensors,
    ".pt": _open_pt,
    ".pth": _open_pt,
}


def only_or_named(file: ArrayFile, name: str, beside: Sequence[str] = ()) -> Any:
    """Return the name of the array called ``name``, or of the only one apart from ``beside``.

    Raises
    ------
    ValueError
        If neither is there.
    """
    if name in file.names:
        return name
    others = [held for held in file.names if held not in beside]
    if len(others) == 1:
        return others[0]
    extra = f" but {listed(map(repr, beside))} beside them" if beside else " in the file"
    raise ValueError(
        f"{plain(file.path)}: holds {several(file.names) or 'no array'}; name the {name} "
        f"{name!r}, or store nothing else{extra}"
    )


def read_label_array(path: Path) -> Any:
    """Read the array ``labels``, or the only one, of a file of one of the `SUFFIXES`.

    Raises
    ------
    ValueError, ImportError
        As `open_arrays` and `only_or_named` do.
    """
    file = open_arrays(path)
    return file.loaded(only_or_named(file, "labels"))
