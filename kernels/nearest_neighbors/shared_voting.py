"""For every version: the vote of neighbours, by NumPy or PyTorch where they are."""

from __future__ import annotations

from ..array_namespace import Array, array_namespace, as_float64, beside


def vote(indices: Array, codes: Array, own: Array, ties: str = "share") -> Array:
    """(n,) float64: what each sample gets of the vote on its class.

    Parameters
    ----------
    indices : (n, k) integer array
        Neighbours of each sample, each in [0, m).
    codes : (m,) integer array
        Class of each neighbour.
    own : (n,) integer array
        Class of each sample.
    ties : {"share", "smallest"}
        Of w classes that have most neighbours alike, each has 1 / w of the vote; or the one of the
        smallest code has all.
    """
    xp = array_namespace(indices)
    neighbours = beside(indices, codes)[indices].T  # (k, n)
    own = beside(indices, own)
    counts = [as_float64(neighbours == one).sum(axis=0) for one in neighbours]
    most = counts[0]
    for count in counts[1:]:
        most = xp.maximum(most, count)
    if ties == "smallest":
        winner = xp.where(counts[0] == most, neighbours[0], neighbours.max())
        for count, one in zip(counts[1:], neighbours[1:], strict=True):
            winner = xp.where(count == most, xp.minimum(winner, one), winner)
        return as_float64(winner == own)
    # A class with c votes stands in c rows: each of a winner's rows counts 1 / c of a winner.
    agrees = as_float64(neighbours == own).sum(axis=0)
    winners = sum(as_float64(count == most) / count for count in counts)
    return as_float64(agrees == most) / winners
