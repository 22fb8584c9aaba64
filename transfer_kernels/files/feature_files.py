"""One model's features read from disk, with their labels; no format here can run code.

A zoo on disk is a folder with one file of features per model. `.npy`, `.safetensors` and `.pt` are
memory-mapped, so a file may be larger than the memory; `.npz` is loaded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..inputs.bfloat16 import BFloat16Matrix
from ..text.quoting import plain
from .array_files import (
    SUFFIXES,
    Pathlike,
    existing_file,
    listed,
    only_or_named,
    open_arrays,
    read_label_array,
)
from .zoo_folders import find_features, label_file_of

__all__ = ["FeatureFile", "Pathlike", "find_features", "read_features"]


class FeatureFile(NamedTuple):
    """What one model's file holds: features (n, d) and, where they lie in it, labels (n,)."""

    features: Any
    labels: Any | None = None


def read_features(path: Pathlike, *, mapped: bool = True, narrow: bool = False) -> FeatureFile:
    """Read the features of one model, memory-mapped where the format allows it.

    Parameters
    ----------
    path : str or Path
        ``.npy``: the features. ``.npz``, ``.safetensors``, ``.pt`` or ``.pth``: an array named
        ``features``, or the only one in the file apart from ``labels``. A ``.pt`` file is a tensor
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
    path = existing_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{plain(path)}: features are read from {listed(SUFFIXES)} files")
    arrays = open_arrays(path)
    chosen = only_or_named(arrays, "features", beside=("labels",))
    features = arrays.mapped(chosen) if mapped else arrays.loaded(chosen)
    if isinstance(features, BFloat16Matrix) and not narrow:
        features = np.asarray(features)
    if "labels" in arrays.names:
        return FeatureFile(features, arrays.loaded("labels"))
    beside = label_file_of(path)
    return FeatureFile(features, None if beside is None else read_label_array(beside))
