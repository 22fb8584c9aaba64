"""Model Spider: learns to rank models by tokens of models and of tasks. Needs PyTorch.

    Y. Zhang, T. Huang, Y. Ding, D. Zhan, H. Ye: "Model Spider: learning to rank pre-trained models
    efficiently", NeurIPS 2023, arXiv:2306.03900.

A task's tokens are the class means of one general encoder's features; a model's token is learnt. A
network that all models share scores each by attention over both. For a new task no candidate model
runs; or, under a budget, the few best ones do, their own class means join the tokens, and all are
ranked again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...estimators import Estimator, NotFittedError
from ...files.feature_files import Pathlike
from ...files.score_files import array_digest
from ...inputs import arrays
from ...text.quoting import plain, shown
from ...text.terminal import progress_bar
from ..best_scores import best_first
from ..history import Task, TransferHistory
from ..saved_state import SavedState, is_count, is_number, save_state
from .ranking_loss import plackett_luce_loss
from .spider_network import OwnTokens, SpiderNetwork
from .task_samples import TaskSample, Tokens, class_means, new_task, sample_tasks

_LEAST_LEARNING_RATE = 5e-6
_MOST_OWN = 10  # models of a task that bring their own tokens in training

#: Beyond it the network's products, four weights deep, leave float32; no training comes near.
_LARGEST_WEIGHT = 1e6
_FLOAT32_MAX = float(np.finfo(np.float32).max)

AnyTask = Task | TaskSample | tuple[Any, Any]


class ModelSpider(Estimator):
    """Recommend models for a new task by learnt tokens.

    The defaults are the published ones.

    Parameters
    ----------
    width : int, default 1024
        Of the tokens inside.
    epochs : int, default 30
    batch_size : int, default 16
        Tasks in a step.
    learning_rate : float, default 2.5e-4
        Of Adam at the start; it falls to 5e-6 along a cosine.
    dropout : float, default 0.1
    max_classes : int, default 100
        Tasks of more classes are seen by as many of them, drawn at random from the seed.
    seed : int, default 0
        Same seed, data and machine: same bits.
    device : str, default "cpu"
        Where to train and score.

    Attributes
    ----------
    models_ : tuple of str
    losses_ : list of float
        Mean loss of every epoch.
    network_ : SpiderNetwork

    References
    ----------
    Zhang et al., "Model Spider: Learning to Rank Pre-Trained Models Efficiently", NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> samples = [
    ...     TaskSample(rng.normal(kind, 0.1, (5, 4)), {"tabby": kind, "tarantula": 1 - kind})
    ...     for kind in rng.random(60)
    ... ]
    >>> spider = ModelSpider(width=16, epochs=20, learning_rate=1e-2).fit(samples)
    >>> new = TaskSample(np.full((3, 4), 0.9), {})
    >>> list(spider.recommend(new, k=1))
    ['tabby']
    """

    def __init__(
        self,
        width: int = 1024,
        epochs: int = 30,
        batch_size: int = 16,
        learning_rate: float = 2.5e-4,
        dropout: float = 0.1,
        max_classes: int = 100,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.width = width
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.dropout = dropout
        self.max_classes = max_classes
        self.seed = seed
        self.device = device

    # ------------------------------------------------------------------ fit

    def fit(
        self,
        tasks: TransferHistory | Sequence[TaskSample],
        *,
        checkpoint: Pathlike | None = None,
        progress: bool | None = None,
    ) -> ModelSpider:
        """Learn the models' tokens and the scorer.

        Parameters
        ----------
        tasks : TransferHistory or sequence of TaskSample
            A history is sampled by `sample_tasks` with its defaults and this seed: it learns from
            the performances that the history holds, and where it holds none, as published, from
            fused metrics (``sample_tasks(history, performance="fused")`` by name).
            A model whose performance on a task is not known is left out of the loss there.
        checkpoint : str or Path, optional
            Folder that holds the state after every epoch. If there is one of the same options and
            tasks, training goes on from there, and ends with the same bits as in one go.
        progress : bool, optional
            Show a progress bar on stderr; the default is to show it on a terminal only.

        Raises
        ------
        ValueError
            If an option is out of range, there are fewer than two models or no task to compare them
            on, the tokens' widths differ, or the checkpoint is of another fit; else as
            `sample_tasks` raises.
        """
        self._check_options()
        samples = self._samples(tasks, progress)
        models = _model_names(tasks, samples)
        if len(models) < 2:
            raise ValueError(f"tasks: {len(models)} model known; at least two are needed to rank")
        for name in models:
            if not any(_performs(sample, name) for sample in samples):
                raise ValueError(
                    f"tasks: model {shown(name)} is compared with another in none of them; leave "
                    "it out"
                )
        general, own = _widths(samples, models)
        self.models_ = models
        self.own_widths_ = own
        with _seeded(self.device, self.seed):
            self.network_ = SpiderNetwork(len(models), general, own, self.width, self.dropout)
        self.network_.to(self.device)
        self.losses_: list[float] = []
        training = list(self.network_.parameters())
        self._train(samples, training, checkpoint, progress, "Model Spider")
        return self

    def add_model(
        self,
        name: str,
        tasks: TransferHistory | Sequence[TaskSample],
        *,
        progress: bool | None = None,
    ) -> ModelSpider:
        """Add a model: its token, and its projection, are trained with all the rest frozen.

        The token starts as the mean of the others.

        Parameters
        ----------
        name : str
        tasks : TransferHistory or sequence of TaskSample
            As for `fit`, the new model's performance among those of models that are known.
        progress : bool, optional

        Raises
        ------
        ValueError
            If the name is taken, a model in ``tasks`` is unknown, the new one is never compared
            with a known one, or the tokens' widths differ from those of `fit`.
        """
        self._require_fitted()
        self._check_options()
        if name in self.models_:
            raise ValueError(f"model {shown(name)} is there already")
        samples = self._samples(tasks, progress)
        models = (*self.models_, name)
        if unknown := [one for one in _model_names(tasks, samples) if one not in models]:
            raise ValueError(f"tasks: model {shown(unknown[0])} is unknown; add one at a time")
        samples = [sample for sample in samples if _performs(sample, name)]
        if not samples:
            raise ValueError(
                f"tasks: model {shown(name)} is compared with a known model in none of them"
            )
        general, (own,) = _widths(samples, (name,))
        self._require_width(general)
        grown = self._grown(general, (*self.own_widths_, own))
        new = len(self.models_)
        training = [grown.tokens]
        if own is not None:
            training += grown.from_own[str(new)].parameters()
        kept = torch.zeros(new + 1, 1, device=self.device)
        kept[new] = 1.0
        for parameter in grown.parameters():
            parameter.requires_grad_(False)
        for parameter in training:
            parameter.requires_grad_(True)
        # Where the gradient is zero from the start, Adam leaves the old tokens' bits alone.
        hook = grown.tokens.register_hook(lambda gradient: gradient * kept)
        before = self.network_, self.models_, self.own_widths_, self.losses_
        self.network_, self.models_ = grown, models
        self.own_widths_ = (*self.own_widths_, own)
        self.losses_ = []
        try:
            self._train(samples, training, None, progress, f"adding {name}")
        except BaseException:
            self.network_, self.models_, self.own_widths_, self.losses_ = before
            raise
        finally:
            hook.remove()
        for parameter in grown.parameters():
            parameter.requires_grad_(True)
        return self

    def _grown(self, general: int, own_widths: Sequence[int | None]) -> SpiderNetwork:
        """The network with one more model."""
        with _seeded(self.device, self.seed, len(own_widths)):
            grown = SpiderNetwork(
                len(own_widths), general, own_widths, self.width, self.dropout
            ).to(self.device)
        old = self.network_.state_dict()
        with torch.no_grad():
            for key, value in grown.state_dict().items():
                if key == "tokens":
                    value[:-1] = old[key]
                    value[-1] = old[key].mean(dim=0)
                elif key in old:
                    value.copy_(old[key])
        return grown

    def _train(
        self,
        samples: Sequence[TaskSample],
        parameters: Sequence[torch.nn.Parameter],
        checkpoint: Pathlike | None,
        progress: bool | None,
        what: str,
    ) -> None:
        optimiser = torch.optim.Adam(parameters, lr=self.learning_rate)
        digest = "" if checkpoint is None else self._digest(samples)
        if checkpoint is not None:
            self._resume(checkpoint, digest, optimiser)
        first = len(self.losses_)
        with progress_bar(
            self.epochs, progress, unit="epoch", initial=first, title=what, leave=True
        ) as bar:
            for epoch in range(first, self.epochs):
                self.losses_.append(self._epoch(epoch, samples, optimiser))
                if checkpoint is not None:
                    self._keep(checkpoint, digest, optimiser)
                bar.set_postfix(loss=f"{self.losses_[-1]:.4f}")
                bar.update()
        self.network_.eval()

    def _epoch(
        self, epoch: int, samples: Sequence[TaskSample], optimiser: torch.optim.Optimizer
    ) -> float:
        """One pass over the samples; what is drawn depends on the seed and the epoch alone."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(samples))
        steps = math.ceil(len(order) / self.batch_size)
        total = 0.0
        self.network_.train()
        with _seeded(self.device, self.seed, epoch):
            for step in range(steps):
                rate = self._learning_rate(epoch * steps + step, self.epochs * steps)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
                batch = [samples[i] for i in chosen]
                scores = self.network_(*self._batch(batch), self._drawn_own(batch, generator))
                loss = plackett_luce_loss(scores, self._performance(batch))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(batch)
        return total / len(samples)

    def _learning_rate(self, step: int, steps: int) -> float:
        least = min(_LEAST_LEARNING_RATE, self.learning_rate)
        cosine = 0.5 * (1.0 + math.cos(math.pi * step / steps))
        return least + (self.learning_rate - least) * cosine

    def _drawn_own(
        self, batch: Sequence[TaskSample], generator: np.random.Generator
    ) -> list[OwnTokens]:
        """Own tokens of k models drawn for each task, k drawn for the batch: all k are trained."""
        n_models = sum(width is not None for width in self.own_widths_)
        k = int(generator.integers(min(_MOST_OWN, n_models) + 1))
        drawn = []
        for t, sample in enumerate(batch):
            candidates = [
                m
                for m, (name, width) in enumerate(zip(self.models_, self.own_widths_, strict=True))
                if width is not None and _has_own(sample, name)
            ]
            chosen = generator.choice(candidates, min(k, len(candidates)), replace=False)
            drawn += [self._own_tokens(t, int(m), sample) for m in chosen]
        return drawn

    # ------------------------------------------------------------------ use

    def score(self, task: AnyTask, budget: int = 0) -> NDArray[np.float64]:
        """Return the scores of all models (M,), in the order of ``models_``.

        Parameters
        ----------
        task : Task, TaskSample or (features, labels)
            The task with its labelled proxy features, or these alone.
        budget : int, default 0
            How many of the models may run on the task: the best by a first ranking, whose own
            features then make the second. Needs a task with these features.

        Raises
        ------
        ValueError
            If the budget is negative or more than there are models, the tokens' width is not that
            of `fit`, or features are missing.
        """
        self._require_fitted()
        if not arrays.is_integer(budget):
            raise TypeError(f"budget must be an integer, not {shown(budget)}")
        if not 0 <= budget <= len(self.models_):
            raise ValueError(
                f"budget={budget} is out of range: there are {len(self.models_)} models"
            )
        sample = _as_sample(task)
        scores = self.score_all([sample])[0]
        if budget == 0:
            return scores
        own = [self._own_tokens(0, int(m), sample) for m in best_first(scores, int(budget))]
        with torch.no_grad():
            rescored = self.network_.eval()(*self._batch([sample]), own)
        return rescored[0].double().cpu().numpy()

    def score_all(self, tasks: Sequence[AnyTask]) -> NDArray[np.float64]:
        """Return the scores of all models on many tasks (T, M), by one pass of the network."""
        self._require_fitted()
        if not len(tasks):
            raise ValueError("tasks: none given")
        batch = self._batch([_as_sample(task) for task in tasks])
        return self.network_.score(*batch).double().cpu().numpy()

    def recommend(self, task: AnyTask, k: int | None = None, budget: int = 0) -> dict[str, float]:
        """Return the best k models with their scores, best first; all by default.

        Parameters
        ----------
        task, budget
            As for `score`.
        k : int, optional

        Returns
        -------
        dict
            Model to score.

        Raises
        ------
        ValueError
            If k is less than 1 or more than there are models; else as `score` raises.
        """
        self._require_fitted()
        k = len(self.models_) if k is None else k
        arrays.require_positive_integer(k, "k")
        if k > len(self.models_):
            raise ValueError(f"k={k} is out of range: there are {len(self.models_)} models")
        scores = self.score(task, budget)
        return {self.models_[m]: float(scores[m]) for m in best_first(scores, k)}

    # ------------------------------------------------------------------ save and load

    def save(self, folder: Pathlike) -> None:
        """Write ``model_spider.json`` and ``model_spider.safetensors``, no pickle, into a folder.

        The folder is made if need be.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        """
        self._require_fitted()
        content = {
            "options": self.get_params(),
            "models": list(self.models_),
            "general_width": self.network_.from_general.in_features,
            "own_widths": list(self.own_widths_),
            "losses": self.losses_,
        }
        save_state(folder, "model_spider", content, self._weights())

    @classmethod
    def load(cls, folder: Pathlike, device: str | None = None) -> ModelSpider:
        """Read what `save` has written, onto the device it was on or another one.

        Raises
        ------
        ValueError
            If anything in the files is not as `save` writes it, they are of a later version, or the
            device is not there.
        FileNotFoundError
            If one is missing.
        """
        saved = SavedState(folder, "model_spider")
        spider = saved.options(list(cls().get_params()), cls._of_options)
        if device is not None:
            spider.device = device
        spider.models_ = saved.names("models")
        n_models = len(spider.models_)
        general = saved.value("general_width", lambda width: is_count(width, 1), "a width")
        spider.own_widths_ = tuple(
            saved.value(
                "own_widths",
                lambda widths: (
                    isinstance(widths, list)
                    and len(widths) == n_models
                    and all(width is None or is_count(width, 1) for width in widths)
                ),
                f"a list of {n_models} widths or null",
            )
        )
        spider.losses_ = saved.value(
            "losses",
            lambda losses: isinstance(losses, list) and all(map(is_number, losses)),
            "a list of numbers",
        )
        sizes = (n_models, general, spider.own_widths_, spider.width, spider.dropout)
        # The files must hold all its weights before any memory of that size is taken.
        try:
            with torch.device("meta"):
                wanted = SpiderNetwork(*sizes).state_dict()
        except (RuntimeError, TypeError, OverflowError):
            raise saved.refused("options", "and the widths are beyond all memory") from None
        weights = {name: _saved_tensor(saved, name, one.shape) for name, one in wanted.items()}
        saved.finish()
        with _seeded("cpu", 0):
            spider.network_ = SpiderNetwork(*sizes)
        spider.network_.load_state_dict(weights)
        try:
            spider.network_.to(spider.device).eval()
        except Exception as error:  # PyTorch raises many kinds
            raise ValueError(
                f"device={spider.device!r} cannot be used here ({plain(str(error))}); load it onto "
                'another one, as with device="cpu"'
            ) from None
        return spider

    @classmethod
    def _of_options(cls, options: Mapping[str, Any]) -> ModelSpider:
        """Return an unfitted ModelSpider of options that a file holds."""
        for name in ("learning_rate", "dropout"):
            if not is_number(options[name]):
                raise TypeError(f"{name}: {shown(options[name])} given; it is a number")
        if not is_count(options["seed"]):
            raise ValueError(
                f"seed: {shown(options['seed'])} given; it is an integer of at least 0"
            )
        try:
            torch.device(options["device"])
        except (RuntimeError, TypeError):
            raise ValueError(f"device: {shown(options['device'])} is none") from None
        spider = cls(**options)
        spider._check_options()
        return spider

    def _weights(self) -> dict[str, NDArray[Any]]:
        return {k: value.detach().cpu().numpy() for k, value in self.network_.state_dict().items()}

    def _digest(self, samples: Sequence[TaskSample]) -> str:
        """Of all that training depends on, the own tokens apart."""
        parts = [repr(self.get_params()), repr(self.models_), repr(self.own_widths_)]
        for sample in samples:
            performance = np.array([sample.performance.get(m, math.nan) for m in self.models_])
            parts += [array_digest(sample.general), array_digest(performance)]
        return array_digest(np.array(parts))

    def _keep(self, folder: Pathlike, digest: str, optimiser: torch.optim.Optimizer) -> None:
        # All that changes lies in the one file that is written at once.
        tensors = {f"network.{name}": value for name, value in self._weights().items()}
        for i, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{k}": value.cpu().numpy() for k, value in moments.items()}
        tensors["losses"] = np.array(self.losses_)
        save_state(folder, "checkpoint", {"digest": digest}, tensors)

    def _resume(self, folder: Pathlike, digest: str, optimiser: torch.optim.Optimizer) -> None:
        try:
            saved = SavedState(folder, "checkpoint")
        except FileNotFoundError:
            return
        found = saved.value("digest", lambda found: isinstance(found, str), "a digest")
        if found != digest:
            raise ValueError(
                f"checkpoint: {folder} is of a fit with other options or tasks; delete it, or name "
                "another folder"
            )
        losses = saved.tensor("losses", (None,))
        if len(losses) > self.epochs:
            raise saved.refused(
                "losses", f"are {len(losses)}, of {self.epochs} epochs", tensor=True
            )
        self.network_.load_state_dict(
            {
                name: _saved_tensor(saved, f"network.{name}", one.shape)
                for name, one in self.network_.state_dict().items()
            }
        )
        state: dict[int, dict[str, Tensor]] = {}
        for i, parameter in enumerate(optimiser.param_groups[0]["params"]):
            if not saved.tensor_names(f"adam.{i}."):
                continue  # it had no gradient
            state[i] = {
                "step": _saved_tensor(saved, f"adam.{i}.step", (1,), low=1.0).reshape(()),
                "exp_avg": _saved_tensor(saved, f"adam.{i}.exp_avg", parameter.shape),
                "exp_avg_sq": _saved_tensor(
                    saved, f"adam.{i}.exp_avg_sq", parameter.shape, low=0.0, high=_FLOAT32_MAX
                ),
            }
        saved.finish()
        self.losses_ = losses.tolist()
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})

    # ------------------------------------------------------------------ tasks as tensors

    def _samples(
        self, tasks: TransferHistory | Sequence[TaskSample], progress: bool | None
    ) -> Sequence[TaskSample]:
        if isinstance(tasks, TransferHistory):
            return sample_tasks(tasks, seed=self.seed, progress=progress)
        if isinstance(tasks, str | Mapping) or not isinstance(tasks, Sequence):
            raise TypeError(
                "tasks: a TransferHistory or a sequence of TaskSample is needed, not "
                f"{type(tasks).__name__}"
            )
        telling = [sample for sample in tasks if len(_known(sample)) > 1]
        if not telling:
            raise ValueError(
                "tasks: there is none on which the performance of two models is known and differs"
            )
        return telling

    def _batch(self, samples: Sequence[TaskSample]) -> tuple[Tensor, Tensor]:
        """Task tokens (T, C, d), filled up with zeros, and which of them are tokens (T, C)."""
        tokens = [self._checked(sample.general) for sample in samples]
        most = max(map(len, tokens))
        filled = np.zeros((len(tokens), most, tokens[0].shape[1]), dtype=np.float32)
        present = np.zeros((len(tokens), most), dtype=bool)
        for t, one in enumerate(tokens):
            filled[t, : len(one)] = one
            present[t, : len(one)] = True
        return torch.from_numpy(filled).to(self.device), torch.from_numpy(present).to(self.device)

    def _performance(self, samples: Sequence[TaskSample]) -> Tensor:
        table = [[one.performance.get(m, math.nan) for m in self.models_] for one in samples]
        return torch.tensor(table, dtype=torch.float64, device=self.device)

    def _own_tokens(self, place: int, model: int, sample: TaskSample) -> OwnTokens:
        name, width = self.models_[model], self.own_widths_[model]
        if width is None:
            raise ValueError(f"model {shown(name)} had no features in `fit`; use a budget of 0")
        if sample.own is None:
            raise ValueError(
                f"budget: the task has no features of model {shown(name)}; use a budget of 0"
            )
        tokens = self._bounded(_as_tokens(sample.own(name), f"own tokens of model {shown(name)}"))
        if tokens.shape[1] != width:
            raise ValueError(
                f"own tokens of model {shown(name)} have {tokens.shape[1]} columns, but {width} in "
                "`fit`"
            )
        return OwnTokens(place, model, torch.from_numpy(tokens).to(self.device))

    def _checked(self, general: Tokens) -> Tokens:
        tokens = _as_tokens(general, "task tokens")
        self._require_width(tokens.shape[1])
        return self._bounded(tokens)

    def _require_width(self, width: int) -> None:
        expected = self.network_.from_general.in_features
        if width != expected:
            raise ValueError(
                f"task tokens have {width} columns, but ModelSpider was fitted with {expected}; "
                "use the same general encoder"
            )

    def _bounded(self, tokens: Tokens) -> Tokens:
        """At most ``max_classes`` of the tokens; of as many classes always the same."""
        if len(tokens) <= self.max_classes:
            return tokens
        generator = np.random.default_rng([self.seed, len(tokens)])
        return tokens[np.sort(generator.permutation(len(tokens))[: self.max_classes])]

    def _check_options(self) -> None:
        for name in ("width", "epochs", "batch_size", "max_classes"):
            arrays.require_positive_integer(getattr(self, name), name)
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout={self.dropout} is out of range: it lies in [0, 1)")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate={self.learning_rate} is out of range: it is positive")

    def _require_fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise NotFittedError("this ModelSpider is not fitted yet; call fit first")


def _as_sample(task: AnyTask) -> TaskSample:
    if isinstance(task, TaskSample):
        return task
    if isinstance(task, Task):
        return new_task(task)
    if isinstance(task, tuple) and len(task) == 2:
        return TaskSample(class_means(*task), {})
    raise TypeError(
        "task: a Task, a TaskSample or the pair (features, labels) is needed, not "
        f"{type(task).__name__}"
    )


def _known(sample: TaskSample) -> set[float]:
    return {value for value in sample.performance.values() if not math.isnan(value)}


def _model_names(
    tasks: TransferHistory | Sequence[TaskSample], samples: Sequence[TaskSample]
) -> tuple[str, ...]:
    if isinstance(tasks, TransferHistory):
        return tasks.models
    return tuple(dict.fromkeys(name for sample in samples for name in sample.performance))


def _widths(
    samples: Sequence[TaskSample], models: Sequence[str]
) -> tuple[int, tuple[int | None, ...]]:
    """Width of the task tokens, and of each model's own tokens, None where there are none."""
    widths = sorted({_as_tokens(sample.general, "task tokens").shape[1] for sample in samples})
    if len(widths) > 1:
        raise ValueError(
            f"task tokens have {' and '.join(map(str, widths))} columns; all tasks need those of "
            "one and the same general encoder"
        )
    return widths[0], tuple(_own_width(samples, name) for name in models)


def _own_width(samples: Sequence[TaskSample], model: str) -> int | None:
    for sample in samples:
        if sample.own is not None and _has_own(sample, model):
            return _as_tokens(sample.own(model), f"own tokens of model {shown(model)}").shape[1]
    return None


def _has_own(sample: TaskSample, model: str) -> bool:
    """Whether a model's own tokens may be asked for in training."""
    return sample.own is not None and _performs(sample, model)


def _performs(sample: TaskSample, model: str) -> bool:
    return not math.isnan(sample.performance.get(model, math.nan))


def _as_tokens(tokens: Any, name: str) -> Tokens:
    array = arrays.as_features(tokens, name)
    array = np.ascontiguousarray(arrays.as_array(array, name), dtype=np.float32)
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        arrays.refuse_nonfinite((row, column), array, name)
    return array


def _saved_tensor(
    saved: SavedState,
    name: str,
    shape: Sequence[int],
    low: float = -_LARGEST_WEIGHT,
    high: float = _LARGEST_WEIGHT,
) -> Tensor:
    array = saved.tensor(name, tuple(shape), np.float32, low=low, high=high)
    return torch.from_numpy(np.array(array))


@contextmanager
def _seeded(device: str, *seed: int) -> Iterator[None]:
    """PyTorch's generators seeded, and put back afterwards."""
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        yield
