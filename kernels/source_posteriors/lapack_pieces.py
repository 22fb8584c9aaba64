"""For the CPU versions: samples in the order of their classes, in pieces for threads to sum."""

import numpy as np

from ..threads import run_in_threads
from . import PIECE_ROWS


def class_pieces(codes, n_classes):
    """(n,) samples sorted by class, and the class, start and end of each piece of that order."""
    codes = np.asarray(codes)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=n_classes))
    pieces = [
        (c, start, min(start + PIECE_ROWS, end))
        for c, (first, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
        for start in range(first, end, PIECE_ROWS)
    ]
    return order, pieces


def summed_by_class(work, codes, n_classes, width):
    """(C, width) sums of ``work(c, rows, total)``, which adds a piece's to ``total`` (width,)."""
    order, pieces = class_pieces(codes, n_classes)
    sums = np.zeros((n_classes, width))

    def run(piece):
        c, start, end = piece
        total = np.zeros(width)
        work(c, order[start:end], total)
        return total

    step = max(1, (1 << 24) // max(1, width))  # so that the pieces' totals stay small beside theta
    for first in range(0, len(pieces), step):
        batch = pieces[first : first + step]
        for (c, _, _), total in zip(batch, run_in_threads(run, batch), strict=True):
            sums[c] += total
    return sums
