"""For every version: a scatter on disk, an ``.npz`` file, of which all is checked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

_REMEDY = "copy the file anew, or make the scatter again and save it"

#: Of the products of a gram in float32 the last digits may lie beyond what float64 would allow.
_TOLERANCE = 1e-4
_LOST_DIGITS = 1e-9


def read(path: Any, names: Any) -> dict[str, np.ndarray]:
    """Arrays of a saved scatter by name, if they can be one.

    Parameters
    ----------
    path : str or path
    names : sequence of str
        All that the file must hold: the fields of `FisherScatter`.

    Raises
    ------
    ValueError
        If the file is something else or damaged, lacks an array or holds another one, or an array
        has another shape or type, is not finite, or contradicts the others.
    FileNotFoundError
        If there is no such file.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{_shown(path)}: no such file")
    arrays = _loaded(path, names)

    def refuse(name: str, why: Any) -> None:
        raise ValueError(f"{_shown(path)}: {name} {why}; {_REMEDY}")

    counts, shift = arrays["counts"], arrays["shift"]
    if counts.ndim != 1 or shift.ndim != 1 or not counts.size or not shift.size:
        refuse("counts and shift", f"have shapes {counts.shape} and {shift.shape}, not (C,), (d,)")
    n_classes, d = len(counts), len(shift)
    shapes = {
        "shift": (d,),
        "counts": (n_classes,),
        "shifted_sums": (n_classes, d),
        "shifted_gram": (d, d),
        "root_counts": (n_classes,),
        "shifted_root_sums": (n_classes, d),
    }
    for name, array in arrays.items():
        if array.dtype != np.float64 or array.shape != shapes[name]:
            refuse(
                name,
                f"is {array.dtype} of shape {array.shape}, not float64 of shape {shapes[name]}",
            )
    arrays["shifted_gram"] = np.triu(arrays["shifted_gram"])  # what lies below is not meant
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            refuse(name, "holds NaN or infinite values")
    for name, why in contradictions(arrays):
        refuse(name, why)
    return arrays


def write(path: Any, arrays: Any) -> None:
    """Write arrays by name as an ``.npz`` file, whose suffix is added, all of it or nothing.

    Raises
    ------
    OSError
        If it cannot be written; it names the file.
    """
    path = os.path.realpath(path)
    path = path if path.endswith(".npz") else f"{path}.npz"
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def contradictions(arrays: Any) -> Iterator[Any]:
    """Yield (name, why) of what cannot be true of any samples, or cannot be worked with."""
    counts, sums, gram = arrays["counts"], arrays["shifted_sums"], arrays["shifted_gram"]
    for name in ("counts", "root_counts"):
        if (arrays[name] < 0).any():
            yield name, "holds a negative sum of weights"
    empty = counts == 0
    if (empty != (arrays["root_counts"] == 0)).any():
        yield "root_counts", "and counts disagree on which classes are empty"
    for name in ("shifted_sums", "shifted_root_sums"):
        if arrays[name][empty].any():
            yield name, "holds a sum over a class without samples"
    # Overflow of what is looked at here shows as infinity, which is refused as well.
    with np.errstate(over="ignore", invalid="ignore"):
        # Sums that were moved from another shift have lost the digits of its square.
        lost = _LOST_DIGITS * counts.sum() * arrays["shift"] ** 2
        diagonal = np.diagonal(gram) + lost
        bound = np.sqrt(np.maximum(diagonal, 0.0)) * (1.0 + _TOLERANCE)
        roots = np.abs(sums[~empty]) / np.sqrt(counts[~empty])[:, None]
        if (diagonal < 0).any() or not (np.hypot.reduce(roots, axis=0, initial=0.0) <= bound).all():
            yield "shifted_gram", "is less than shifted_sums and counts imply (Cauchy-Schwarz)"
        if not all((np.abs(gram[i]) <= bound * bound[i]).all() for i in range(len(gram))):
            yield "shifted_gram", "is greater off the diagonal than on it (Cauchy-Schwarz)"
        shift = np.abs(arrays["shift"])
        largest = shift.max() * counts.sum() + np.abs(sums).sum(axis=0).max()
        largest = shift.max() * (2 * largest) + diagonal.max()
        largest += np.abs(arrays["shifted_root_sums"]).max()
        largest += shift.max() * arrays["root_counts"].max()
        if not np.isfinite(largest):
            yield "shift", "is so large that the moments of the features overflow"


def _loaded(path: Any, names: Any) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            held = list(file.files)
            missing = [name for name in names if name not in held]
            if not missing and len(held) == len(names):
                return {name: np.asarray(file[name]) for name in names}
    except PermissionError:
        raise
    except (Exception, zipfile.BadZipFile) as error:  # whatever a damaged archive makes of it
        reason = _shown(" ".join(f"{type(error).__name__}: {error}".split()))
        raise ValueError(
            f"{_shown(path)}: is no saved FisherScatter, or is damaged ({reason}); {_REMEDY}"
        ) from None
    if missing:
        raise ValueError(
            f"{_shown(path)} is no saved FisherScatter: it lacks {', '.join(missing)}; {_REMEDY}"
        )
    other = [name for name in held if name not in names]
    raise ValueError(
        f"{_shown(path)} is no saved FisherScatter: it also holds {_shown(', '.join(other))}; "
        f"{_REMEDY}"
    )


def _shown(text: Any) -> str:
    """A text on one printable line, cut where it is long."""
    return repr(str(text))[1:-1][:300]
