"""One model's outputs read from disk, with their labels; no format here can run code.

A zoo on disk is a folder with one file for each model. `.npy`, `.safetensors` and `.pt` are
memory-mapped, so a file may be larger than the memory; `.npz` is loaded. The arrays of a file are
known by their names: ``features``, ``labels``, and those of the other named inputs, see
``transfer_kernels.inputs.model_outputs.MODEL_INPUTS``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from ..inputs.bfloat16 import BFloat16Matrix
from ..inputs.model_outputs import MODEL_INPUTS, TARGET_INPUTS, ModelOutputs
from ..text.quoting import plain
from .array_files import (
    SUFFIXES,
    ArrayFile,
    Pathlike,
    existing_file,
    listed,
    only_or_named,
    open_arrays,
    read_label_array,
)
from .zoo_folders import find_features, label_file_of

__all__ = [
    "FeatureFile",
    "OutputsFile",
    "Pathlike",
    "find_features",
    "read_features",
    "read_outputs",
    "read_target_input",
]

#: Arrays of a file that are no features: those of the other inputs.
_OTHER_KEYS = {key for named in MODEL_INPUTS.values() for key in named.arrays} - {"features"}


class FeatureFile(NamedTuple):
    """What one model's file holds: features (n, d) and, where they lie in it, labels (n,)."""

    features: Any
    labels: Any | None = None


class OutputsFile(NamedTuple):
    """What one model's file holds: its named inputs and, where they lie in it, labels (n,)."""

    outputs: ModelOutputs
    labels: Any | None = None


def read_features(path: Pathlike, *, mapped: bool = True, narrow: bool = False) -> FeatureFile:
    """Read the features of one model, memory-mapped where the format allows it.

    Parameters
    ----------
    path : str or Path
        ``.npy``: the features. ``.npz``, ``.safetensors``, ``.pt`` or ``.pth``: an array named
        ``features``, or the only one in the file apart from ``labels`` and those of the other named
        inputs (see `read_outputs`). A ``.pt`` file is a tensor
        or a dictionary of them, saved with ``torch.save``; reading it needs PyTorch.
        bfloat16 is widened to float32, without loss, where it comes from ``.safetensors``.
        The labels of ``MODEL_DATASET_feature.npy`` are those of ``MODEL_DATASET_label.npy``
        beside it, as the scripts of SFDA, ETran, PED and EMMS write them.
    mapped : bool, default True
        Whether features stay on disk where they can. Whoever shortens a mapped file ends the
        process that reads it, except for `transfer_kernels.rank`, which reports it.
    narrow : bool, default False
        Whether bfloat16 in a mapped ``.safetensors`` file stays so: its features are then a
        ``transfer_kernels.inputs.bfloat16.BFloat16Matrix``, which metrics take like an array.

    Returns
    -------
    FeatureFile
        Its ``features`` may be read-only; a ``.pt`` file gives a CPU tensor.

    Raises
    ------
    ValueError
        If the suffix is unknown, the file is damaged, its arrays cannot be told apart, it holds
        pickled Python objects, which are never loaded, or it would not fit into the memory.
    FileNotFoundError
        If there is no such file.
    ImportError
        If a ``.pt`` file is read without PyTorch.
    """
    found = _read(path, ("features",), mapped, narrow)
    if found.outputs.features is None:
        held = listed(map(repr, found.outputs.given))
        raise ValueError(f"{plain(path)}: holds {held} and no features; read_outputs reads it")
    return FeatureFile(found.outputs.features, found.labels)


def read_outputs(
    path: Pathlike,
    *,
    needs: Collection[str] | None = None,
    mapped: bool = True,
    narrow: bool = False,
) -> OutputsFile:
    """Read all that a file holds of one model.

    Parameters
    ----------
    path : str or Path
        As of `read_features`; in files of several arrays those named ``posteriors``,
        ``source_features`` and ``source_labels``, and ``general`` are the other named inputs.
    needs : collection of str, optional
        Names of the inputs that are wanted; by default all.
    mapped, narrow : bool
        As of `read_features`.

    Returns
    -------
    OutputsFile

    Raises
    ------
    ValueError
        As `read_features` does, but that there need not be features beside other inputs; also if
        the arrays of one input are incomplete, or the numbers of rows differ.
    FileNotFoundError, ImportError
        As `read_features` does.
    """
    return _read(path, needs, mapped, narrow)


def read_target_input(path: Pathlike, name: str) -> Any:
    """Read an input that belongs to the target, such as ``reference``.

    Parameters
    ----------
    path : str or Path
        A file of one of the formats of features, with an array of this name or a single one.
    name : str
        Of ``transfer_kernels.inputs.model_outputs.TARGET_INPUTS``.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As `read_features` does.
    """
    arrays = _opened(path)
    key, *others = TARGET_INPUTS[name].arrays
    if others:
        return tuple(arrays.loaded(one) for one in (key, *others))
    return _array(arrays, only_or_named(arrays, key), True, False)


def _opened(path: Pathlike) -> ArrayFile:
    path = existing_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{plain(path)}: features are read from {listed(SUFFIXES)} files")
    return open_arrays(path)


def _read(path: Pathlike, needs: Collection[str] | None, mapped: bool, narrow: bool) -> OutputsFile:
    arrays = _opened(path)
    there = _inputs_in(arrays)
    wanted = [name for name in there if needs is None or name in needs]
    if not any(MODEL_INPUTS[name].per_sample for name in wanted):
        # What is there tells the number of samples, and that the others are lacking.
        wanted += [name for name in there if MODEL_INPUTS[name].per_sample][:1]
    found = {}
    for name in wanted:
        values = tuple(_array(arrays, key, mapped, narrow) for key in there[name])
        found[name] = values[0] if len(values) == 1 else values
    return OutputsFile(_outputs(arrays, found), _labels(arrays))


def _inputs_in(arrays: ArrayFile) -> dict[str, list[Any]]:
    """Name of each input that a file holds to the names of its arrays."""
    there: dict[str, list[Any]] = {}
    others = [key for key in arrays.names if key in _OTHER_KEYS]
    if not others or set(arrays.names) - {*others, "labels"}:
        there["features"] = [only_or_named(arrays, "features", beside=("labels", *others))]
    for name, named in MODEL_INPUTS.items():
        held = [key for key in named.arrays if key in others]
        if not held:
            continue
        if missing := [key for key in named.arrays if key not in others]:
            raise ValueError(
                f"{plain(arrays.path)}: holds {listed(held)} without {listed(missing)}; store both"
            )
        there[name] = held
    return there


def _outputs(arrays: ArrayFile, found: dict[str, Any]) -> ModelOutputs:
    try:
        return ModelOutputs(**found)
    except ValueError as error:
        raise ValueError(f"{plain(arrays.path)}: {str(error).partition(': ')[2]}") from None


def _array(arrays: ArrayFile, key: Any, mapped: bool, narrow: bool) -> Any:
    values = arrays.mapped(key) if mapped else arrays.loaded(key)
    return np.asarray(values) if isinstance(values, BFloat16Matrix) and not narrow else values


def _labels(arrays: ArrayFile) -> Any | None:
    if "labels" in arrays.names:
        return arrays.loaded("labels")
    beside = label_file_of(arrays.path)
    return None if beside is None else read_label_array(beside)
