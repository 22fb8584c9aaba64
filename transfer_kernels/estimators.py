"""The metrics as estimators in scikit-learn's manner: `fit` keeps what the score was made from.

What is kept is NumPy arrays wherever the features were; further samples on a GPU are predicted
there, and give tensors.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from .inputs import arrays
from .kernels.array_namespace import array_namespace, as_float64, beside, on_host
from .metrics import logme as _logme
from .metrics import parc as _parc
from .metrics import sfda as _sfda
from .metrics.problem import Problem
from .optional_packages import require


class NotFittedError(ValueError, AttributeError):
    """An estimator was used before `fit`."""


class Estimator:
    """Parameters by name, as scikit-learn's tools expect; scikit-learn itself is not needed."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Any:
        """Change arguments of the constructor; returns self."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(known)}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn 1.6 or newer, the only one to ask, wants to know of an estimator."""
        from sklearn import utils

        kind = self._kind()
        return utils.Tags(
            estimator_type=kind,
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags() if kind == "classifier" else None,
            regressor_tags=utils.RegressorTags() if kind == "regressor" else None,
            transformer_tags=utils.TransformerTags() if hasattr(self, "transform") else None,
        )

    def set_output(self, *, transform: str | None = None) -> Any:
        """Choose what ``transform`` gives, as scikit-learn's transformers do; returns self.

        Parameters
        ----------
        transform : {"default", "pandas", None}
            Arrays, or a `pandas.DataFrame` with the index of its input; None changes nothing.
            Estimators without ``transform`` take it and are unchanged.

        Raises
        ------
        ValueError
            If it is another.
        """
        if transform is None:
            return self
        if transform not in ("default", "pandas"):
            raise ValueError(f"transform={transform!r} is unknown; it is 'default' or 'pandas'")
        self._sklearn_output_config = {"transform": transform}  # the name that `clone` copies
        return self

    def _kind(self) -> str | None:
        """Whether it is a "classifier", a "regressor" or neither."""
        return None

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _features(self, features: Any) -> Any:
        """Features of further samples in float64, checked against those of `fit`."""
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        X = as_float64(arrays.as_features(features))
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"features have {X.shape[1]} columns, but {type(self).__name__} was fitted with "
                f"{self.n_features_in_}"
            )
        return X


class SFDA(Estimator):
    """Self-challenging Fisher discriminant analysis; `transfer_kernels.sfda` is its score.

    Parameters
    ----------
    backend : str, optional
        Force a backend.
    ignore_label : optional
        Samples with this label are left out of `fit`; see `transfer_kernels.sfda`.

    Attributes
    ----------
    score_ : float
        The SFDA score of the data of `fit`.
    shrinkage_ : float
        Regularisation of the within-class scatter, in [1e-10, 1].
    classes_ : (C,) array
    priors_ : (C,) array
        Class frequencies.
    means_ : (C, d) array
        Class means.
    coef_, intercept_ : (C, d) and (C,) arrays
        Discriminants x.coef_[c] + intercept_[c] of the first, not yet self-challenged classifier.
    scalings_ : (d, m) array
        Axes of the Fisher space, best first, m = min(C - 1, d); the within-class scatter, shrunk,
        is the identity along them.
    """

    score_: float
    n_features_in_: int

    def __init__(self, backend: str | None = None, ignore_label: Any = None):
        self.backend = backend
        self.ignore_label = ignore_label

    def fit(self, X: Any, y: Any) -> SFDA:
        """Fit to features and class labels; returns self.

        Parameters
        ----------
        X : (n, d) array or tensor
            Features, as `transfer_kernels.sfda` takes them.
        y : (n,) array, tensor or list
            Class labels of any hashable kind.

        Raises
        ------
        TypeError, ValueError
            As `transfer_kernels.sfda`, which also tells when it warns.
        """
        problem = Problem(X, y, self.backend, self.ignore_label)
        result = _sfda.fit(problem)
        _sfda.warn_if_saturated(problem, result)
        first = result.first
        self.score_ = result.score
        self.n_features_in_ = problem.n_features
        self.classes_ = problem.classes
        self.priors_ = problem.class_counts / problem.n_samples
        self.shrinkage_ = result.shrinkage
        self.coef_ = on_host(first.coef)
        self.intercept_ = on_host(first.intercept)
        self.means_ = on_host(first.means + first.center)
        self.center_ = on_host(first.center)
        axes = _sfda.fisher_axes(first, beside(first.coef, self.priors_))
        self.scalings_ = on_host(axes)
        return self

    def _kind(self) -> str:
        return "classifier"

    def _discriminants(self, X: Any) -> Any:
        X = self._features(X)
        return X @ beside(X, self.coef_).T + beside(X, self.intercept_)

    def decision_function(self, X: Any) -> Any:
        """Discriminants of the first, not yet self-challenged classifier.

        Parameters
        ----------
        X : (n, d) array or tensor
            Features, as many columns as in `fit`.

        Returns
        -------
        (n, C) float64 array
            In the order of ``classes_``; of two classes (n,), the second's less the first's.
        """
        values = self._discriminants(X)
        return values[:, 1] - values[:, 0] if len(self.classes_) == 2 else values

    def predict_proba(self, X: Any) -> Any:
        """Posteriors of the first, not yet self-challenged classifier.

        Parameters
        ----------
        X : (n, d) array or tensor
            Features, as many columns as in `fit`.

        Returns
        -------
        (n, C) float64 array
            In the order of ``classes_``; rows sum to 1.
        """
        logits = self._discriminants(X)
        xp = array_namespace(logits)
        posterior = xp.exp(logits - xp.amax(logits, axis=1)[:, None])
        return posterior / posterior.sum(axis=1)[:, None]

    def predict(self, X: Any) -> np.ndarray:
        """(n,) most probable classes."""
        values = self._discriminants(X)
        return self.classes_[on_host(values.argmax(axis=1))]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict` on further samples; ``score_`` is the SFDA score.

        Parameters
        ----------
        X : (n, d) array or tensor
        y : (n,) labels
        sample_weight : (n,) array, optional
        """
        return _accuracy(self.predict(X), y, sample_weight)

    def transform(self, X: Any) -> Any:
        """Coordinates in the Fisher space, centred on the data of `fit`.

        Parameters
        ----------
        X : (n, d) array or tensor
            Features, as many columns as in `fit`.

        Returns
        -------
        (n, m) float64 array or pandas.DataFrame
            Best axis first, m = min(C - 1, d); see `set_output`.
        """
        index = getattr(X, "index", None) if hasattr(X, "iloc") else None
        X = self._features(X)
        coordinates = (X - beside(X, self.center_)) @ beside(X, self.scalings_)
        if getattr(self, "_sklearn_output_config", {}).get("transform") != "pandas":
            return coordinates
        use = 'set_output(transform="pandas")'
        pandas = require("pandas", "DataFrame", use=use, extra="pandas")
        return pandas.DataFrame(on_host(coordinates), index, self.get_feature_names_out())

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """(m,) names of the coordinates that `transform` gives: sfda0, sfda1, ..."""
        if not hasattr(self, "scalings_"):
            raise NotFittedError("this SFDA is not fitted yet; call fit first")
        return np.array([f"sfda{axis}" for axis in range(self.scalings_.shape[1])], dtype=object)

    def fit_transform(self, X: Any, y: Any) -> Any:
        """`fit`, then `transform` of the same features."""
        return self.fit(X, y).transform(X)


class LogME(Estimator):
    """Bayesian linear model at its maximum evidence; `transfer_kernels.logme` is its score.

    Parameters
    ----------
    regression : bool
        Whether the labels are real targets.
    variant : str
        As in `transfer_kernels.logme`.
    backend : str, optional
        Force a backend.
    ignore_label : optional
        Samples with this label are left out of `fit`; see `transfer_kernels.logme`.

    Attributes
    ----------
    score_ : float
        Mean of ``evidences_``.
    evidences_ : (K,) array
        Log evidence per sample of each class or target, in nats.
    alphas_, betas_ : (K,) arrays
        Precision of the weights and of the noise of each class or target. Where the null model is
        best the weights' is infinite, where a model without noise is best the noise's.
    weights_ : (K, d) array
        Posterior means of the linear models.
    classes_ : (C,) array
        Only without ``regression``. Variants that count absent classes have K > C in
        ``evidences_``, ``alphas_`` and ``betas_``; ``weights_`` has those that occur.
    """

    score_: float
    n_features_in_: int

    def __init__(
        self,
        regression: bool = False,
        variant: str = "evidence",
        backend: str | None = None,
        ignore_label: Any = None,
    ):
        self.regression = regression
        self.variant = variant
        self.backend = backend
        self.ignore_label = ignore_label

    def fit(self, X: Any, y: Any) -> LogME:
        """Fit to features and labels or targets; returns self.

        Parameters
        ----------
        X : (n, d) array or tensor
            Features, as `transfer_kernels.logme` takes them.
        y : (n,) array, tensor or list; with ``regression`` also (n, k)
            Class labels of any hashable kind, or real targets.

        Raises
        ------
        TypeError, ValueError
            As `transfer_kernels.logme`, which also tells when it warns.
        """
        _logme.METRIC.check(regression=self.regression, variant=self.variant)
        problem = Problem(X, y, self.backend, self.ignore_label)
        evidence = _logme.fit(problem, self.regression, self.variant)
        self.n_features_in_ = problem.n_features
        self.evidences_ = on_host(evidence.evidences)
        self.alphas_ = on_host(evidence.alphas)
        self.betas_ = on_host(evidence.betas)
        self.score_ = float(self.evidences_.mean())
        ratios = evidence.ratios
        if not self.regression:
            self.classes_ = problem.classes
            present = _logme.present_targets(problem, self.variant)
            ratios = ratios[beside(ratios, present)]
        self.weights_ = on_host(_logme.weights(problem, ratios, self.regression))
        self._single_target = self.regression and problem.labels.ndim == 1
        return self

    def _kind(self) -> str:
        return "regressor" if self.regression else "classifier"

    def predict(self, X: Any) -> Any:
        """Most probable classes (n,), or targets of the shape given to `fit`."""
        X = self._features(X)
        values = X @ beside(X, self.weights_).T
        if self.regression:
            return values[:, 0] if self._single_target else values
        return self.classes_[on_host(values.argmax(axis=1))]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict` on further samples, or R^2 with ``regression``.

        ``score_`` is the LogME score. Of several targets it is the mean R^2, as in scikit-learn.

        Parameters
        ----------
        X : (n, d) array or tensor
        y : (n,) labels, or (n,) or (n, k) targets
        sample_weight : (n,) array, optional
        """
        predicted = self.predict(X)
        if not self.regression:
            return _accuracy(predicted, y, sample_weight)
        found = on_host(predicted).reshape(len(predicted), -1)
        truth = arrays.as_targets(arrays.as_labels(y, len(found), "y"), "y")
        if truth.shape != found.shape:
            raise ValueError(f"y of shape {truth.shape} does not fit targets of {found.shape}")
        weights = _weights(sample_weight, len(truth))[:, None]
        left = (weights * (truth - found) ** 2).sum(axis=0)
        mean = (weights * truth).sum(axis=0) / weights.sum()
        total = (weights * (truth - mean) ** 2).sum(axis=0)
        # Constant targets have no variance to explain: 1 if they are met, else 0.
        r2 = np.where(total > 0, 1.0 - left / np.where(total > 0, total, 1.0), left == 0)
        return float(r2.mean())


def _weights(sample_weight: Any, n_samples: int) -> np.ndarray:
    if sample_weight is None:
        return np.ones(n_samples)
    return on_host(arrays.as_weights(sample_weight, n_samples))


def _accuracy(predicted: np.ndarray, y: Any, sample_weight: Any) -> float:
    labels = arrays.as_labels(y, len(predicted), "y")
    if labels.ndim != 1:
        raise ValueError(f"y must be one-dimensional class labels, not of shape {labels.shape}")
    arrays.refuse_missing(labels, "y")
    correct = np.broadcast_to(predicted == labels, len(labels))
    return float(np.average(correct, weights=_weights(sample_weight, len(labels))))


class PARC(Estimator):
    """Pairwise annotation representation comparison; `transfer_kernels.parc` is its score.

    Parameters
    ----------
    n_components : int, optional
        Principal components to project on first; 32 in the paper.
    backend : str, optional
        Force a backend.
    ignore_label : optional
        Samples with this label are left out of `fit`; see `transfer_kernels.parc`.

    Attributes
    ----------
    score_ : float
        100 x Spearman's coefficient of the data of `fit`.
    """

    score_: float
    n_features_in_: int

    def __init__(
        self,
        n_components: int | None = None,
        backend: str | None = None,
        ignore_label: Any = None,
    ):
        self.n_components = n_components
        self.backend = backend
        self.ignore_label = ignore_label

    def fit(self, X: Any, y: Any) -> PARC:
        """Score features with labels; returns self.

        Parameters
        ----------
        X : (n, d) array or tensor
            Features, as `transfer_kernels.parc` takes them.
        y : (n,) array, tensor or list, or (n, k) real array
            Class labels of any hashable kind, or label vectors.

        Raises
        ------
        TypeError, ValueError
            As `transfer_kernels.parc`, which also tells when it warns.
        """
        _parc.METRIC.check(n_components=self.n_components)
        problem = Problem(X, y, self.backend, self.ignore_label)
        self.n_features_in_ = problem.n_features
        self.score_ = _parc.compute(problem, self.n_components)
        return self

    def score(self, X: Any, y: Any) -> float:
        """PARC of further samples X (n, d) with labels y: nothing is learnt in `fit`."""
        self._features(X)
        return _parc.compute(Problem(X, y, self.backend, self.ignore_label), self.n_components)
