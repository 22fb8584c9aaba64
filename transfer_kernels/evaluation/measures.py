"""How well scores predict the true accuracies of the models: rank correlations, recall, regret.

This is one zoo on one target; `transfer_kernels.evaluation.yardstick` goes over the tasks of a
transfer table.

Every function takes ``scores`` first and ``accuracies`` second, either two mappings by model name
or two sequences in the same order; a pandas column is paired by its index unless that only counts
the rows; higher is better in both.

Degenerate input has one rule. *Constant scores* order nothing: every correlation is 0.
*Constant accuracies* leave nothing to predict: every correlation is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs.arrays import require_positive_integer
from ..text.quoting import plain, several, shown
from ..text.tables import MISSING, text_table
from ..text.terminal import encodable

Values = Mapping[str, float] | Sequence[float] | NDArray[Any]


@dataclass(frozen=True)
class Evaluation(Mapping[str, float]):
    """Figures of one score on one zoo; also a mapping from a figure's name to its value.

    Attributes
    ----------
    weighted_kendall : float
        Weighted Kendall tau, the published weighting of the SFDA benchmark (see
        `weighted_kendall`).
    weighted_kendall_by_accuracy : float
        The same with the weights of Model Spider, which follow the true accuracy alone.
    kendall, pearson, spearman : float
        Kendall's tau-b, Pearson's and Spearman's correlation.
    recall, rel, regret : dict of int to float
        ``recall[k]``, ``rel[k]`` and ``regret[k]``, see `recall_at_k`, `rel_at_k` and
        `regret_at_k`.
    n_models : int
        Models that were compared.
    excluded : tuple of str
        Models left out because their score is not finite (a failed model), by name or, for
        sequences, by position.
    """

    weighted_kendall: float
    weighted_kendall_by_accuracy: float
    kendall: float
    pearson: float
    spearman: float
    recall: Mapping[int, float]
    rel: Mapping[int, float]
    n_models: int
    excluded: tuple[str, ...] = field(default=())
    regret: Mapping[int, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, float]:
        """Return the figures as a flat dictionary, ``recall@k`` and the like included."""
        return {
            "weighted_kendall": self.weighted_kendall,
            "weighted_kendall_by_accuracy": self.weighted_kendall_by_accuracy,
            "kendall": self.kendall,
            "pearson": self.pearson,
            "spearman": self.spearman,
            **{f"recall@{k}": value for k, value in self.recall.items()},
            **{f"rel@{k}": value for k, value in self.rel.items()},
            **{f"regret@{k}": value for k, value in self.regret.items()},
        }

    def __getitem__(self, figure: str) -> float:
        return self.to_dict()[figure]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def __str__(self) -> str:
        lines = [f"{name:<28}  {value: .4f}" for name, value in self.to_dict().items()]
        lines.append(f"{'models':<28}  {self.n_models:>2}")
        if self.excluded:
            excluded = encodable(", ".join(plain(name, None) for name in self.excluded))
            lines.append(f"{'excluded (no finite score)':<28}   {excluded}")
        return "\n".join(lines)


def evaluate(scores: Values, accuracies: Values, ks: Sequence[int] = (1, 3)) -> Evaluation:
    """Compare scores with true accuracies.

    Parameters
    ----------
    scores : mapping of str to float, or sequence of float
        One score per model, higher is better. A score that is not finite stands for a model that
        failed: it is left out and listed in ``excluded``.
    accuracies : mapping of str to float, or sequence of float
        True accuracies of the same models, finite.
    ks : sequence of int, default (1, 3)
        The ``k`` of recall@k, rel@k and regret@k.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If the names or lengths of the two differ, an accuracy is not finite, fewer than two
        models have a finite score, or a ``k`` is less than 1.
    """
    names, score, accuracy = _paired(scores, accuracies)
    scored = np.isfinite(score)
    excluded = tuple(name for name, finite in zip(names, scored, strict=True) if not finite)
    score, accuracy = score[scored], accuracy[scored]
    if score.size < 2:
        raise ValueError(
            f"scores: {score.size} of {len(names)} models have a finite score; at least two are "
            "needed to compare an order"
        )
    return Evaluation(
        weighted_kendall=weighted_kendall(score, accuracy),
        weighted_kendall_by_accuracy=weighted_kendall(score, accuracy, weighting="accuracy"),
        kendall=kendall(score, accuracy),
        pearson=pearson(score, accuracy),
        spearman=spearman(score, accuracy),
        recall={k: recall_at_k(score, accuracy, k) for k in ks},
        rel={k: rel_at_k(score, accuracy, k) for k in ks},
        n_models=int(score.size),
        excluded=excluded,
        regret={k: regret_at_k(score, accuracy, k) for k in ks},
    )


def evaluation_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Return several evaluations as one text table, a row each in the given order."""
    ks = sorted({k for evaluation in evaluations.values() for k in evaluation.recall})
    header = ["score", "models", "weighted τ", "by accuracy", "τ", "Pearson", "Spearman"]
    header += [f"{figure}@{k}" for k in ks for figure in ("recall", "rel")]
    rows = []
    for name, one in evaluations.items():
        values = [
            one.weighted_kendall,
            one.weighted_kendall_by_accuracy,
            one.kendall,
            one.pearson,
            one.spearman,
        ]
        for k in ks:
            values += [one.recall.get(k, math.nan), one.rel.get(k, math.nan)]
        numbers = [MISSING if math.isnan(value) else f"{value:.3f}" for value in values]
        rows.append([name, str(one.n_models), *numbers])
    return text_table(header, rows, "l" + "r" * (len(header) - 1))


def kendall(scores: Values, accuracies: Values) -> float:
    """Kendall's tau-b: concordant minus discordant pairs, corrected for ties."""
    from scipy.stats import kendalltau

    x, y = _finite_pair(scores, accuracies)
    return _bounded(lambda: kendalltau(x, y).statistic, x, y)


def weighted_kendall(scores: Values, accuracies: Values, weighting: str = "both") -> float:
    """Kendall's tau with hyperbolic weights: errors among the best models cost more.

    The pair of the models of rank r and s (0 for the best) weighs ``1/(r+1) + 1/(s+1)``
    (Vigna 2015, "A Weighted Correlation Index for Rankings with Ties").

    Parameters
    ----------
    scores, accuracies : mapping of str to float, or sequence of float
    weighting : {"both", "accuracy"}
        What the ranks are taken from. ``"both"``: the mean of the coefficient with the ranks of
        the scores and that with the ranks of the accuracies; ``scipy.stats.weightedtau(scores,
        accuracies)``, used by the SFDA benchmark (Shao et al. 2022). ``"accuracy"``: the ranks of
        the accuracies alone; ``scipy.stats.weightedtau(accuracies, scores, rank=None)``, used by
        Model Spider (Zhang et al. 2023). Ties in one are broken by the other.
    """
    from scipy.stats import weightedtau

    x, y = _finite_pair(scores, accuracies)
    if weighting == "accuracy":
        return _bounded(lambda: weightedtau(y, x, rank=None).statistic, x, y)
    if weighting == "both":
        return _bounded(lambda: weightedtau(x, y).statistic, x, y)
    raise ValueError(f"weighting: {shown(weighting)} given; it is 'both' or 'accuracy'")


def pearson(scores: Values, accuracies: Values) -> float:
    """Pearson's linear correlation."""
    return _correlation(*_finite_pair(scores, accuracies))


def spearman(scores: Values, accuracies: Values) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    x, y = _finite_pair(scores, accuracies)
    return _correlation(mean_ranks(x), mean_ranks(y))


def recall_at_k(scores: Values, accuracies: Values, k: int) -> float:
    """1 if the model with the highest score is among the k most accurate, else 0.

    Among equal values the one listed first counts as the better, in both orders.
    """
    x, y = _finite_pair(scores, accuracies)
    return float(_best_first(x)[0] in _best_first(y)[: _checked_k(k)])


def rel_at_k(scores: Values, accuracies: Values, k: int) -> float:
    """Best accuracy among the k highest scores, as a part of the best accuracy of all.

    Among equal scores the one listed first counts as the higher. NaN where the best accuracy is
    not positive, since a part of it then says nothing.
    """
    x, y = _finite_pair(scores, accuracies)
    best = y.max()
    found = y[_best_first(x)[: _checked_k(k)]].max()
    with np.errstate(over="ignore"):  # a loss beside a best accuracy of next to nothing is -inf
        return float(found / best) if best > 0 else math.nan


def regret_at_k(scores: Values, accuracies: Values, k: int) -> float:
    """Best accuracy of all minus the best among the k highest scores, in the accuracies' unit.

    Among equal scores the one listed first counts as the higher.
    """
    x, y = _finite_pair(scores, accuracies)
    return float(y.max() - y[_best_first(x)[: _checked_k(k)]].max())


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending ranks from 1; equal values share the mean of their ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _bounded(tau: Callable[[], float], x: NDArray, y: NDArray) -> float:
    """The coefficient, without what rounding adds to 1, where it is defined."""
    if _is_constant(y):
        return math.nan
    if _is_constant(x):
        return 0.0
    return float(np.clip(tau(), -1.0, 1.0))


def _correlation(x: NDArray, y: NDArray) -> float:
    if _is_constant(y):
        return math.nan
    if _is_constant(x):
        return 0.0
    # Scaled to 1 first, so that the squares neither overflow nor vanish.
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / math.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _is_constant(x: NDArray) -> bool:
    return bool(x.min() == x.max())


def _best_first(x: NDArray) -> NDArray[np.int64]:
    return np.argsort(-x, kind="stable")


def _checked_k(k: int) -> int:
    require_positive_integer(k, "k")
    return int(k)


def _finite_pair(scores: Values, accuracies: Values) -> tuple[NDArray, NDArray]:
    _, score, accuracy = _paired(scores, accuracies)
    if not np.isfinite(score).all():
        raise ValueError(
            "scores: holds NaN or infinite values; drop those models, or use `evaluate`, which "
            "leaves them out and lists them"
        )
    if score.size < 2:
        raise ValueError(f"scores: {score.size} given; at least two models are needed")
    return score, accuracy


def _paired(scores: Values, accuracies: Values) -> tuple[list[str], NDArray, NDArray]:
    """Return the names and the two aligned float64 vectors."""
    by_name = any(_has_names(values) for values in (scores, accuracies))
    scores = _plain("scores", scores, by_name)
    accuracies = _plain("accuracies", accuracies, by_name)
    if isinstance(scores, Mapping) != isinstance(accuracies, Mapping):
        raise TypeError(
            "scores and accuracies: one is a mapping by model name and the other is not; give "
            "both as mappings (or pandas columns indexed by model), or both as sequences "
            "in the same order"
        )
    if isinstance(scores, Mapping) and isinstance(accuracies, Mapping):
        missing = [
            f"{what} has no {several(names)}"
            for what, names in (
                ("accuracies", [name for name in scores if name not in accuracies]),
                ("scores", [name for name in accuracies if name not in scores]),
            )
            if names
        ]
        if missing:
            raise ValueError(f"scores and accuracies name different models: {'; '.join(missing)}")
        names = list(scores)
        score = _vector("scores", [scores[name] for name in names])
        accuracy = _vector("accuracies", [accuracies[name] for name in names])
    else:
        score, accuracy = _vector("scores", scores), _vector("accuracies", accuracies)
        if score.size != accuracy.size:
            raise ValueError(
                f"scores and accuracies: {score.size} scores but {accuracy.size} accuracies; "
                "one of each per model is needed"
            )
        names = [str(i) for i in range(score.size)]
    if not np.isfinite(accuracy).all():
        worst = names[int(np.argmin(np.isfinite(accuracy)))]
        raise ValueError(f"accuracies: the value of model {worst} is not finite")
    return names, score, accuracy


def _has_names(values: Any) -> bool:
    """Whether the values carry names: a mapping, or a pandas table whose index is no count."""
    if isinstance(values, Mapping):
        return True
    return _is_table(values) and not _counts(values.index)


def _is_table(values: Any) -> bool:
    return hasattr(values, "iloc") and hasattr(values, "index")


def _counts(index: Any) -> bool:
    """Whether an index is pandas' own count of the rows, 0, 1, ..., in this order."""
    return list(index) == list(range(len(index)))


def _plain(argument: str, values: Any, by_name: bool) -> Any:
    """Return a pandas column as a mapping by its index, or as a vector where nothing is named."""
    if not _is_table(values):
        return values
    if getattr(values, "ndim", 1) == 2:
        if values.shape[1] != 1:
            listed = several(values.columns)
            raise ValueError(
                f"{argument}: a table with {values.shape[1]} columns given ({listed}); choose one, "
                f"as {argument}[{shown(values.columns[0])}]"
            )
        values = values.iloc[:, 0]
    if not by_name or _counts(values.index):
        return values.to_numpy()
    names = list(values.index)
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"{argument}: model {shown(twice)} occurs twice in its index")
    return dict(zip(names, values.tolist(), strict=True))


def _vector(argument: str, values: Any) -> NDArray[np.float64]:
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument}: real numbers are needed, one per model ({error})") from None
    if vector.ndim != 1:
        raise ValueError(f"{argument}: shape {vector.shape} given; one number per model is needed")
    return vector
