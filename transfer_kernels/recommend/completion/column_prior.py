"""A Gaussian over a task's column of models, low rank and diagonal, and how it is conditioned.

The column is x = m + F z + e with z ~ N(0, I) of r dimensions and e ~ N(0, diag(d)). A model that
was run shows views of its entry, y_k = a_k x + b_k + c_k + noise, whose levels c_k are shared by
all models. All shared unknowns together, u = (z, c), have r + K dimensions, so that conditioning on
n models costs n (r + K)^2 operations, and reading off M entries M (r + K)^2: nothing here is M x M.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]


@dataclass(frozen=True)
class ColumnPrior:
    """What the past says of a new task's column before any model is run.

    Attributes
    ----------
    mean : (M,) float64 array
    factors : (M, r) float64 array
        F; r may be 0.
    noise : (M,) float64 array
        d, above 0.
    """

    mean: Matrix
    factors: Matrix
    noise: Matrix

    @classmethod
    def flat(cls, n_models: int) -> ColumnPrior:
        """Return the prior of one who knows no past: every entry N(0, 1), on its own."""
        return cls(np.zeros(n_models), np.zeros((n_models, 0)), np.ones(n_models))

    @property
    def variance(self) -> Matrix:
        """Variance of every entry (M,)."""
        return np.einsum("mr,mr->m", self.factors, self.factors) + self.noise


@dataclass(frozen=True)
class ViewModel:
    """How K views see an entry of the column.

    Attributes
    ----------
    slope : (K,) array
        a.
    noise : (K, K) array
        Covariance of the views' noise.
    level_precision : float
        Of the levels c; 0 lets only contrasts between models count.
    """

    slope: Matrix
    noise: Matrix
    level_precision: float = 0.0


@dataclass(frozen=True)
class _Group:
    """Models of which the same views were seen: what conditioning makes of them once.

    ``gain`` (n, k) is what moves an entry's own noise by the views' residuals, ``left`` (n,) the
    part of the entry that the views leave to the prior, ``whitened`` (n, k, r + K) the design and
    ``whiten`` (n, k, k) the inverse Cholesky factors of the views' covariance.
    """

    rows: Matrix
    views: Matrix
    gain: Matrix
    left: Matrix
    whiten: Matrix
    whitened: Matrix


class Conditioner:
    """A prior and the models that were run, before the values of their views are put in.

    The values come later because their scales are unknown: `evidence_form` tells, as a quadratic
    form, how likely any scaling of them is, without solving anew.

    Parameters
    ----------
    prior : ColumnPrior
    view_model : ViewModel
    rows : (n,) int array
        The models that were run, each once.
    seen : (n, K) bool array
        Which views of them there are; each view of at least one model where levels are vague.
    """

    def __init__(
        self, prior: ColumnPrior, view_model: ViewModel, rows: Matrix, seen: Matrix
    ) -> None:
        self.prior, self.view_model = prior, view_model
        self.rows = rows
        r, n_views = prior.factors.shape[1], len(view_model.slope)
        precision = np.diag(
            np.concatenate([np.ones(r), np.full(n_views, view_model.level_precision)])
        )
        # A view that was never seen has no level to find.
        absent = r + np.flatnonzero(~seen.any(axis=0))
        precision[absent, absent] = 1.0
        self._groups = list(self._grouped(seen))
        self._log_det = 0.0
        for group in self._groups:
            flat = group.whitened.reshape(-1, r + n_views)
            precision += flat.T @ flat
            diagonals = np.diagonal(group.whiten, axis1=1, axis2=2)
            self._log_det -= 2.0 * float(np.log(diagonals).sum())
        self._chol = np.linalg.cholesky(precision)
        self._log_det += 2.0 * float(np.log(np.diagonal(self._chol)).sum())

    def _grouped(self, seen: Matrix) -> Iterator[_Group]:
        if not len(seen):
            return
        a, R = self.view_model.slope, self.view_model.noise
        r, n_views = self.prior.factors.shape[1], len(a)
        patterns, which = np.unique(seen, axis=0, return_inverse=True)
        for p, pattern in enumerate(patterns):
            views = np.flatnonzero(pattern)
            if not len(views):
                continue
            members = np.flatnonzero(which.ravel() == p)
            rows = self.rows[members]
            own = self.prior.noise[rows]
            slope = a[views]
            V = own[:, None, None] * np.outer(slope, slope) + R[np.ix_(views, views)]
            whiten = np.linalg.inv(np.linalg.cholesky(V))
            weighed = np.einsum("nkl,l->nk", whiten, slope)
            gain = own[:, None] * np.einsum("nkl,nk->nl", whiten, weighed)
            design = np.zeros((len(rows), len(views), r + n_views))
            design[:, :, :r] = slope[None, :, None] * self.prior.factors[rows][:, None, :]
            design[:, np.arange(len(views)), r + views] = 1.0
            yield _Group(members, views, gain, 1.0 - gain @ slope, whiten, whiten @ design)

    # ------------------------------------------------------------------ values

    def evidence_form(self, values: Matrix) -> tuple[Matrix, float]:
        """Return what the evidence of any combination of vectors of values is made from.

        Parameters
        ----------
        values : (J, n, K) array
            J vectors of values of the views; what is not seen is passed over.

        Returns
        -------
        form : (J, J) array
            log p(sum_j w_j values_j) = -(w^T form w + log_det) / 2 + a constant that depends on
            what was seen alone.
        log_det : float
        """
        parts, projected = self._whitened(values)
        solved = _solve_lower(self._chol, projected.T)
        return parts - solved.T @ solved, self._log_det

    def posterior(self, values: Matrix) -> Posterior:
        """Return the posterior of the column, given the views' values (n, K)."""
        residuals = np.array(values, dtype=np.float64)
        residuals -= self.prior.mean[self.rows][:, None] * self.view_model.slope
        _, projected = self._whitened(residuals[None])
        half = _solve_lower(self._chol, projected[0])
        shared = _solve_upper(self._chol, half)
        M, r = self.prior.factors.shape
        n_views = len(self.view_model.slope)
        mean, own = self.prior.mean.copy(), self.prior.noise.copy()
        left = np.ones(M)
        gains = np.zeros((len(self.rows), n_views))
        for group in self._groups:
            rows = self.rows[group.rows]
            left[rows] = group.left
            own[rows] *= group.left
            gains[group.rows[:, None], group.views] = group.gain
            moved = residuals[group.rows[:, None], group.views] - shared[r + group.views]
            mean[rows] += np.einsum("nk,nk->n", group.gain, moved)
        mean += left * (self.prior.factors @ shared[:r])
        return Posterior(mean, own, left, self.prior.factors, self.rows, gains, self._chol)

    def _whitened(self, values: Matrix) -> tuple[Matrix, Matrix]:
        J, size = len(values), len(self._chol)
        form, projected = np.zeros((J, J)), np.zeros((J, size))
        for group in self._groups:
            picked = values[:, group.rows[:, None], group.views]
            white = np.einsum("nkl,jnl->jnk", group.whiten, picked).reshape(J, -1)
            form += white @ white.T
            projected += white @ group.whitened.reshape(-1, size)
        return form, projected


@dataclass(frozen=True)
class Posterior:
    """The column after some models were run: x = mean + H u + e, u and e on their own.

    H is ``left`` times the factors, and minus the gains of the models that were run; u has the
    covariance whose inverse has the Cholesky factor ``chol``.

    Attributes
    ----------
    mean : (M,) array
    own : (M,) array
        Variance of e.
    """

    mean: Matrix
    own: Matrix
    left: Matrix
    factors: Matrix
    rows: Matrix
    gains: Matrix
    chol: Matrix

    #: Models looked at together, so that what is made beside the arrays stays small.
    CHUNK = 16384

    def chunks(self) -> Iterator[tuple[slice, Matrix]]:
        """Go through the models: a slice of them, and H L^-T of these (m, r + K)."""
        M, r = self.factors.shape
        at_row = np.full(M, -1) if len(self.rows) else None
        if at_row is not None:
            at_row[self.rows] = np.arange(len(self.rows))
        inverse = _solve_lower(self.chol, np.eye(len(self.chol)))
        for start in range(0, M, self.CHUNK):
            part = slice(start, min(start + self.CHUNK, M))
            moved = self.left[part, None] * (self.factors[part] @ inverse[:, :r].T)
            if at_row is not None:
                run = np.flatnonzero(at_row[part] >= 0)
                moved[run] -= self.gains[at_row[part][run]] @ inverse[:, r:].T
            yield part, moved

    def variance(self) -> Matrix:
        """Return the variance of every entry (M,)."""
        found = self.own.copy()
        for part, moved in self.chunks():
            found[part] += np.einsum("mr,mr->m", moved, moved)
        return found


def _solve_lower(chol: Matrix, right: Matrix) -> Matrix:
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(chol, right, lower=True, check_finite=False))


def _solve_upper(chol: Matrix, right: Matrix) -> Matrix:
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(chol, right, lower=True, trans="T", check_finite=False))
