"""C++ version of `logme_evidence`: csrc/logme_evidence/logme_evidence.cpp."""

from dataclasses import asdict, astuple

import numpy as np

from ..native_runtime import native_module, runtime_arguments
from . import GRAM_ERROR, SMALLEST_PRECISION, Evidence, EvidenceRule, Known, LargestEvidence


def logme_evidence(
    gram: np.ndarray,
    moments: np.ndarray,
    squares: np.ndarray,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool = False,
    known: Known | None = None,
) -> Evidence | None:
    """See the contract in the package's docstring."""
    largest = isinstance(rule, LargestEvidence)
    if known is None:
        known = Known(np.empty(0), np.empty((0, moments.shape[1])), np.empty(0))
    arrays = gram, moments, squares, *astuple(known)
    found = native_module().logme_evidence(
        *(np.ascontiguousarray(array, dtype=np.float64) for array in arrays),
        n_samples,
        n_features,
        dual=dual,
        smallest_precision=SMALLEST_PRECISION,
        largest=largest,
        gram_error=GRAM_ERROR,
        **asdict(EvidenceRule() if largest else rule),
        **runtime_arguments(),
    )
    return Evidence(*found)
