"""The graph of a network's operations, recorded from one forward pass; no weight is needed.

The graph is that of PyTorch's autograd: one node for each function that would run backward, one
for each parameter. It is taken on the "meta" device, where nothing is computed or stored, or, if
the network will not run there, on its own device.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...text.quoting import shown

PARAMETER = "Parameter"
IMAGE = (1, 3, 224, 224)
METHODS = ("auto", "autograd", "fx")


@dataclass(frozen=True)
class ArchitectureGraph:
    """Directed graph of a network's operations.

    Attributes
    ----------
    labels : tuple of str
        What each node is: the name of its autograd function, ``"Parameter"`` for all parameters.
    edges : tuple of (int, int)
        Producer and consumer, sorted, each pair once.
    """

    labels: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for edge in self.edges:
            if not all(0 <= node < len(self.labels) for node in edge):
                raise ValueError(
                    f"edges: {tuple(edge)} given, but the {len(self.labels)} nodes are numbered "
                    f"from 0 to {len(self.labels) - 1}"
                )

    @property
    def n_parameters(self) -> int:
        """Number of parameter nodes."""
        return self.labels.count(PARAMETER)

    def consumers(self) -> list[list[int]]:
        """For every node, the nodes that take its result."""
        lists: list[list[int]] = [[] for _ in self.labels]
        for producer, consumer in self.edges:
            lists[producer].append(consumer)
        return lists

    def to_json(self) -> str:
        """Return the graph as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ArchitectureGraph:
        """Read what `to_json` gave."""
        content = json.loads(text)
        edges = tuple((int(producer), int(consumer)) for producer, consumer in content["edges"])
        return cls(tuple(content["labels"]), edges)


def architecture_graph(
    module: nn.Module, inputs: Any = None, *, method: str = "auto"
) -> ArchitectureGraph:
    """Record the graph of a network's operations from one forward pass in evaluation mode.

    The module is left as it was: its weights may be missing (on the "meta" device), frozen, or on
    any device, and its buffers and training flags do not change. Attention is recorded as the
    operations that it consists of, since the fused kernels differ between machines.

    Parameters
    ----------
    module : torch.nn.Module
    inputs : tensor, tuple or dict, optional
        What the forward pass takes: one tensor, the positional arguments, or the keyword arguments.
        The default is one image of shape (1, 3, 224, 224).
    method : {"auto", "autograd", "fx"}
        ``"autograd"``: the graph that a plain forward pass leaves behind, as published. ``"fx"``:
        the operations are traced by `torch.fx` first and the trace is run with gradients, so that
        parts under ``no_grad`` or ``inference_mode``, detached tensors and results without a
        gradient (an argmax, say) are in the graph as well. ``"auto"``: the first, unless the second
        reaches more of the parameters.

    Returns
    -------
    ArchitectureGraph

    Raises
    ------
    TypeError
        If ``module`` is none.
    ValueError
        If the forward pass fails with these inputs, if no operation can be recorded, or if
        ``method`` is unknown.

    References
    ----------
    Bai, Wu, Song, Zhao, Chen, "Pre-Trained Model Recommendation for Downstream Fine-tuning",
    arXiv:2403.06382, 2024: archi2vec.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: a torch.nn.Module is needed, not {type(module).__name__}")
    if method not in METHODS:
        raise ValueError(f"method: {shown(method)} given; it is one of {', '.join(METHODS)}")
    with _evaluating(module), sdpa_kernel([SDPBackend.MATH]):
        graph = _recorded(_ForwardPass(module, inputs), method)
    if not graph.labels:
        raise ValueError(
            f"module: the forward pass of {type(module).__name__} leaves no differentiable "
            "operation to record"
        )
    return graph


def _recorded(forward_pass: _ForwardPass, method: str) -> ArchitectureGraph:
    plain = ArchitectureGraph((), ())
    if method != "fx":
        plain = forward_pass.record(_results)
    if method == "autograd" or (plain.labels and plain.n_parameters == forward_pass.n_parameters):
        return plain
    try:
        traced = forward_pass.record(_traced_results)
    except ValueError:
        if plain.labels:
            return plain
        raise
    return traced if traced.n_parameters > plain.n_parameters or not plain.labels else plain


class _ForwardPass:
    """A forward pass that can be made again and again, on no weights or on copies of the buffers.

    Parameters
    ----------
    module : torch.nn.Module
    inputs : tensor, tuple, dict or None
    """

    def __init__(self, module: nn.Module, inputs: Any) -> None:
        self.module = module
        self.parameters = dict(module.named_parameters())
        self.buffers = dict(module.named_buffers())
        self.n_parameters = sum(_can_have_gradient(p) for p in self.parameters.values())
        some = next(iter([*self.parameters.values(), *self.buffers.values()]), torch.empty(0))
        if inputs is None:
            generator = torch.Generator().manual_seed(0)
            inputs = torch.rand(IMAGE, generator=generator).to(some.device)
            if some.is_floating_point():
                inputs = inputs.to(some.dtype)
        self.args: tuple = inputs if isinstance(inputs, tuple) else (inputs,)
        self.kwargs: dict[str, Any] = {}
        if isinstance(inputs, Mapping):
            self.args, self.kwargs = (), dict(inputs)
        self.has_weights = some.device.type != "meta"

    def record(self, results: Callable[..., Iterable[Tensor]]) -> ArchitectureGraph:
        """Graph of what ``results(function, tensors)`` gives, on "meta" if that is possible."""
        try:
            return self._record_on("meta", results)
        except Exception as error:
            problem = error
        if self.has_weights:
            try:
                return self._record_on(None, results)
            except Exception as error:
                problem = error
        given = ", ".join(map(_described, [*self.args, *self.kwargs.values()]))
        raise ValueError(
            f"inputs: the forward pass of {type(self.module).__name__} fails with {given}; pass "
            f"inputs that it takes ({type(problem).__name__}: {problem})"
        ) from problem

    def _record_on(self, device: str | None, results: Callable) -> ArchitectureGraph:
        parameters = {name: _leaf(p, device) for name, p in self.parameters.items()}
        buffers = {name: _copy(b, device) for name, b in self.buffers.items()}
        args, kwargs = _moved((self.args, self.kwargs), device)
        if not self.n_parameters:
            args, kwargs = _with_gradients((args, kwargs))

        def run(parameters: Any, buffers: Any, args: Any, kwargs: Any) -> list[Tensor]:
            output = functional_call(self.module, {**parameters, **buffers}, args, kwargs)
            return list(_tensors(output))

        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            return _walk(results(run, (parameters, buffers, args, kwargs)))


def _results(function: Callable, arguments: tuple) -> Iterable[Tensor]:
    return function(*arguments)


def _traced_results(function: Callable, arguments: tuple) -> Iterable[Tensor]:
    """All that the trace of a function computes, computed again with gradients."""
    tensors = list(_tensors(arguments))

    def of_tensors(*replaced: Tensor) -> Any:
        return function(*_refilled(arguments, iter(replaced)))

    trace = make_fx(of_tensors)(*tensors)
    trace.graph.eliminate_dead_code()
    replay = _Replay(trace)
    replay.run(*tensors)
    return replay.results


#: What a trace holds where a tensor was detached: PyTorch 2.14 writes an alias.
_DETACHED = {torch.ops.aten.detach.default, torch.ops.aten.alias.default}


class _Replay(Interpreter):
    """Runs a trace, collects its results, and lets nothing be detached."""

    def __init__(self, trace: GraphModule) -> None:
        super().__init__(trace)
        self.results: list[Tensor] = []

    def run_node(self, n: Node) -> Any:
        if n.op == "call_function" and n.target in _DETACHED:
            return self.fetch_args_kwargs_from_env(n)[0][0]
        result = super().run_node(n)
        if n.op != "placeholder":
            self.results += _tensors(result)
        return result


def _walk(outputs: Iterable[Tensor]) -> ArchitectureGraph:
    """Graph behind tensors, depth first from the last operation back."""
    number: dict[Any, int] = {}
    functions: list[Any] = []
    edges = set()
    waiting = [output.grad_fn for output in outputs if output.grad_fn is not None][::-1]
    while waiting:
        function = waiting.pop()
        if function not in number:
            number[function] = len(functions)
            functions.append(function)
            waiting += [made_by for made_by, _ in function.next_functions[::-1] if made_by]
    for consumer in functions:
        for producer, _ in consumer.next_functions:
            if producer:
                edges.add((number[producer], number[consumer]))
    return ArchitectureGraph(tuple(map(_label, functions)), tuple(sorted(edges)))


def _label(function: Any) -> str:
    name = type(function).__name__
    return PARAMETER if name == "AccumulateGrad" else name


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _can_have_gradient(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _leaf(parameter: Tensor, device: str | None) -> Tensor:
    tensor = parameter.detach().to(device or parameter.device)
    return tensor.requires_grad_() if _can_have_gradient(tensor) else tensor


def _copy(buffer: Tensor, device: str | None) -> Tensor:
    return buffer.detach().to(device) if device else buffer.detach().clone()


def _mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same nested value with a function applied to every tensor."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: _mapped(function, entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(function, entry) for entry in value)
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    """Tensors of a nested value, in the order of `_mapped`."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for entry in value:
            yield from _tensors(entry)
    elif hasattr(value, "__dataclass_fields__"):
        yield from _tensors(vars(value))


def _refilled(value: Any, tensors: Iterator[Tensor]) -> Any:
    return _mapped(lambda _: next(tensors), value)


def _moved(value: Any, device: str | None) -> Any:
    return _mapped(lambda tensor: tensor.to(device), value) if device else value


def _with_gradients(value: Any) -> Any:
    def with_gradient(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        return tensor.requires_grad_() if _can_have_gradient(tensor) else tensor

    return _mapped(with_gradient, value)


def _described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return repr(value) if isinstance(value, bool | int | float | str) else type(value).__name__
