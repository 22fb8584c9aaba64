"""Determinants of `positive_definite` from the samples, where one drowns all others."""

import numpy as np


def log_determinant(rows, scale):
    """ln det(I + scale Z^T Z) of ``rows`` Z (n, d) on the host, in nats.

    By a QR factorisation of [sqrt(scale) Z; I], the loudest rows and columns first, so that the
    others keep their digits.
    """
    rows = np.sqrt(scale) * rows
    order = np.argsort(-(rows * rows).sum(axis=1))
    columns = np.argsort(-(rows * rows).sum(axis=0))
    stacked = np.concatenate([rows[order][:, columns], np.eye(rows.shape[1])])
    upper = np.linalg.qr(stacked, mode="r")
    return 2.0 * float(np.log(np.abs(upper.diagonal())).sum())
