"""Features from a pickle of the kind that parc's extraction writes; nothing in it is executed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

#: What a pickle of arrays, numbers and names may call.
ALLOWED = {
    (module, name)
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("_reconstruct", "scalar", "ndarray", "dtype")
} | {
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, and only arrays are read")
        return super().find_class(module, name)


def reference_features(path: Any) -> np.ndarray:
    """The array ``features`` of a pickled dictionary of arrays.

    Raises
    ------
    ValueError
        If the file is none, or would execute something.
    """
    with open(path, "rb") as file:
        try:
            found = _Arrays(file).load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
            raise ValueError(f"{Path(path)} is no pickle of arrays: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("features"), np.ndarray):
        raise ValueError(f"{Path(path)} holds no dictionary with an array of 'features'")
    return found["features"]
