"""For every version: determinants from the samples, where one drowns all others."""

import numpy as np

from ..array_namespace import Array, array_namespace, beside, on_host


def log_determinant(rows: Array, scale: float) -> float:
    """ln det(I + scale Z^T Z) of ``rows`` Z (n, d), float64, in nats; where the rows are.

    By a QR factorisation of [sqrt(scale) Z; I], the loudest rows and columns first, so that the
    others keep their digits.
    """
    xp = array_namespace(rows)
    rows = scale**0.5 * rows
    order, columns = (
        beside(rows, on_host((-(rows * rows).sum(axis=axis)).argsort())) for axis in (1, 0)
    )
    identity = beside(rows, np.eye(rows.shape[1]))
    _, upper = xp.linalg.qr(xp.concatenate([rows[order][:, columns], identity]))
    return 2.0 * float(np.log(np.abs(on_host(upper.diagonal()))).sum())
