"""What the modules of all peers share: their numbers and their exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

#: Of mixtures, which published code does not seed.
SEED = 0


def number(value: Any) -> np.float64:
    """A float that `json.dump` takes and that has NumPy's methods, as most peers return."""
    return np.float64(float(value))


@contextmanager
def published_errors(*arrays: Any) -> Iterator[None]:
    """Raise `numpy.linalg.LinAlgError`, a ValueError too, where arrays hold NaN or infinity.

    That is what published code raises there, out of its decompositions. Looked for only where
    something else was raised already.
    """
    try:
        yield
    except np.linalg.LinAlgError:
        raise
    except ValueError as error:
        if any(_holds_nonfinite(array) for array in arrays):
            raise np.linalg.LinAlgError(str(error)) from error
        raise


def _holds_nonfinite(array: Any) -> bool:
    found = array.isfinite().all() if hasattr(array, "isfinite") else None
    if found is None:
        found = np.isfinite(np.asarray(array, dtype=np.float64)).all()
    return not bool(found)
