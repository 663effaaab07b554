"""A user's own torch model as a graph and its state.

The module is traced (torch.fx), each operation is translated, and the result is compared with the module on random images:
what cannot be translated faithfully is refused, never approximated. Dropout is left out (a graph has none). A module that works
in place changes what later readers of its input see, as in torch.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from hwnas.errors import GraphError, ModelError
from hwnas.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Op,
)
from hwnas.network.network import Network, State

SUPPORTED = (
    "Conv2d (square, zero padding, no dilation), BatchNorm2d, ReLU, ReLU6, Hardtanh, MaxPool2d, AvgPool2d, "
    "AdaptiveAvgPool2d(1), Flatten, Linear, Dropout and Identity, their functional forms, +, torch.cat along the channels, "
    "and the mean over height and width"
)
TOLERANCE = 1e-4  # of max(1, largest logit)

_Made: TypeAlias = tuple[Op, Mapping[str, Tensor]] | None  # an operation and its tensors; None: the input itself


def import_module(module: nn.Module, *, channels: int, height: int, width: int) -> tuple[Graph, State]:
    """The graph that computes what ``module`` computes in eval mode for (normalised) images of this size, and its state.

    The module is not changed, and the state shares no memory with it.

    Raises:
        ModelError: naming the part that cannot be taken, and what can.
    """
    try:
        traced = fx.symbolic_trace(module)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"expected a model that torch.fx can trace, without decisions that depend on data: {error}") from error
    traced.graph.eliminate_dead_code()
    translation = _Translation(module, Input(channels=channels, height=height, width=width))
    for node in traced.graph.nodes:
        translation.translate(node)
    try:
        graph = Graph(tuple(translation.nodes), translation.output)
    except GraphError as error:
        raise ModelError(f"the model is no classifier of {channels}x{height}x{width} images: {error}") from error
    _check(module, graph, translation.state)
    return graph, translation.state


class _Translation:
    """What has been translated: nodes, their tensors, and which node holds each traced value."""

    def __init__(self, module: nn.Module, image: Input) -> None:
        self.nodes: list[Node] = []
        self.state: State = {}
        self.output = 0
        self._image = image
        self._modules = dict(module.named_modules())
        self._held: dict[fx.Node, int] = {}
        self._used: set[str] = set()

    def translate(self, node: fx.Node) -> None:
        """Take one traced operation in."""
        match node.op:
            case "placeholder":
                self._held[node] = self._placeholder(node)
            case "call_module":
                self._module(node, self._own(node), str(node.target))
            case "call_function" | "call_method":
                self._function(node)
            case "output":
                if not isinstance(node.args[0], fx.Node) or node.args[0] not in self._held:
                    raise ModelError(f"expected a model that returns one tensor of logits, got {node.args[0]}; wrap the model")
                self.output = self._held[node.args[0]]
            case _:
                raise _refusal(f"{node.target} (a tensor of the model itself)")

    def _placeholder(self, node: fx.Node) -> int:
        if self.nodes:
            raise ModelError(f"expected a model with one input, the images; {node.target} is another one")
        return self._add(self._image, {})

    def _own(self, node: fx.Node) -> nn.Module:
        """The module that is called. Raises ModelError where its weights were used before: a graph shares none."""
        name = str(node.target)
        module: nn.Module = self._modules[name]
        if name in self._used and any(True for _ in module.parameters()):
            raise ModelError(f"module {name!r} ({type(module).__name__}) is used twice; give each use its own weights")
        self._used.add(name)
        return module

    def _module(self, node: fx.Node, module: nn.Module, name: str) -> None:
        make = _MODULES.get(type(module))
        if make is None:
            raise _refusal(f"{name} ({type(module).__name__})")
        source = self._sources(node, node.args[:1], name)[0]
        made = make(module, f"{name} ({module})")
        self._held[node] = source if made is None else self._add(*made, source)
        if getattr(module, "inplace", False):
            self._overwrite(source, self._held[node])

    def _function(self, node: fx.Node) -> None:
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        rest = node.args[1:]
        if node.target in _ADDITIONS and len(node.args) == 2 and not node.kwargs:
            sources = self._sources(node, node.args, name)
            self._held[node] = self._add(Add(), {}, *sources)
            if node.target is operator.iadd:
                self._overwrite(sources[0], self._held[node])
        elif node.target in (torch.cat, torch.concat) and (rest or (node.kwargs.get("dim"),)) in ((1,), (-3,)):
            tensors = node.args[0]
            self._held[node] = self._add(Concat(), {}, *self._sources(node, tensors, name))
        elif node.target in (torch.mean, "mean"):
            self._mean(node, name)
        elif node.target == "size":
            return  # only ever read by a view
        elif node.target in ("view", "reshape") and len(rest) == 2 and rest[1] == -1:
            self._module(node, nn.Flatten(), name)
        elif node.target in _FUNCTIONS:
            self._module(node, _functional(node, name), name)
        else:
            raise _refusal(f"{name} with {node.args} {dict(node.kwargs) or ''}".rstrip())

    def _mean(self, node: fx.Node, name: str) -> None:
        """The mean over height and width, kept as (C, 1, 1) or not."""
        axes = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        keeps = node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False)
        if not isinstance(axes, tuple | list) or tuple(axes) not in ((2, 3), (3, 2), (-2, -1), (-1, -2)):
            raise _refusal(f"{name} over {axes}")
        pooled = self._add(GlobalAvgPool(), {}, *self._sources(node, node.args[:1], name))
        self._held[node] = pooled if keeps else self._add(Flatten(), {}, pooled)

    def _sources(self, node: fx.Node, arguments: Any, name: str) -> list[int]:
        wrong = [argument for argument in arguments if not isinstance(argument, fx.Node) or argument not in self._held]
        if wrong or not arguments:
            raise _refusal(f"{name} of {wrong or 'nothing'}, which is no tensor that the model computed from the image")
        return [self._held[argument] for argument in arguments]

    def _add(self, op: Op, tensors: Mapping[str, Tensor], *sources: int) -> int:
        node = Node(len(self.nodes) + 1, op, sources)
        self.nodes.append(node)
        self.state |= {f"{node.id}.{name}": tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        return node.id

    def _overwrite(self, old: int, new: int) -> None:
        """Who reads later what was changed in place reads the new value."""
        self._held = {node: new if held == old else held for node, held in self._held.items()}


def _check(module: nn.Module, graph: Graph, state: State) -> None:
    """Raise ModelError unless both compute the same logits."""
    images = torch.randn(2, *graph.shapes[graph.input.id], generator=torch.Generator().manual_seed(0))
    training = {part: part.training for part in module.modules()}
    try:
        with torch.no_grad():
            expected, got = module.eval()(images.clone()), Network(graph, state).eval()(images)
    except RuntimeError as error:
        size = "x".join(map(str, images.shape[1:]))
        raise ModelError(f"expected a model that takes {size} images, in float32 and on the CPU: {error}") from error
    finally:
        for part, mode in training.items():
            part.training = mode
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    if expected.shape != got.shape or not float((expected - got).abs().max()) <= allowed:
        raise ModelError(f"the imported network does not compute what the model computes; supported are {SUPPORTED}")


def _refusal(what: str) -> ModelError:
    return ModelError(f"cannot import {what}; supported are {SUPPORTED}")


def _one(value: int | tuple[int, ...], what: str) -> int:
    """A size that is the same along height and width."""
    sizes = {value} if isinstance(value, int) else set(value)
    if len(sizes) != 1:
        raise _refusal(f"{what}: {value} differs between height and width")
    return sizes.pop()


def _conv(module: nn.Conv2d, what: str) -> _Made:
    kernel, stride = _one(module.kernel_size, what), _one(module.stride, what)
    if _one(module.dilation, what) != 1 or module.padding_mode != "zeros":
        raise _refusal(what)
    padding: int | tuple[int, ...]
    if isinstance(module.padding, str):
        if module.padding == "same" and kernel % 2 == 0:
            raise _refusal(f"{what}: an even kernel with padding 'same'")
        padding = kernel // 2 if module.padding == "same" else 0
    else:
        padding = module.padding
    op = Conv(
        out_channels=module.out_channels,
        kernel=kernel,
        padding=_one(padding, what),
        stride=stride,
        groups=module.groups,
        bias=module.bias is not None,
    )
    return op, {"weight": module.weight} | ({} if module.bias is None else {"bias": module.bias})


def _batch_norm(module: nn.BatchNorm2d, what: str) -> _Made:
    if module.running_mean is None or module.running_var is None:
        raise _refusal(f"{what} without running statistics")
    ones = torch.ones_like(module.running_var)
    if module.momentum is None:
        raise _refusal(f"{what} with momentum None, a cumulative average")
    return BatchNorm(eps=module.eps, momentum=module.momentum), {
        "weight": ones if module.weight is None else module.weight,
        "bias": torch.zeros_like(ones) if module.bias is None else module.bias,
        "running_mean": module.running_mean,
        "running_var": module.running_var,
    }


def _hardtanh(module: nn.Hardtanh, what: str) -> _Made:
    return Clip(low=float(module.min_val), high=float(module.max_val)), {}


def _max_pool(module: nn.MaxPool2d, what: str) -> _Made:
    if module.ceil_mode or module.return_indices or _one(module.dilation, what) != 1:
        raise _refusal(what)
    window = (_one(value, what) for value in (module.kernel_size, module.stride, module.padding))
    kernel, stride, padding = window
    return MaxPool(kernel=kernel, stride=stride, padding=padding), {}


def _avg_pool(module: nn.AvgPool2d, what: str) -> _Made:
    kernel, stride, padding = (_one(value, what) for value in (module.kernel_size, module.stride, module.padding))
    if module.ceil_mode or module.divisor_override or (padding and not module.count_include_pad):
        raise _refusal(what)
    return AvgPool(kernel=kernel, stride=stride, padding=padding), {}


def _adaptive_pool(module: nn.AdaptiveAvgPool2d, what: str) -> _Made:
    if module.output_size not in (1, (1, 1), [1, 1]):
        raise _refusal(what)
    return GlobalAvgPool(), {}


def _flatten(module: nn.Flatten, what: str) -> _Made:
    if (module.start_dim, module.end_dim) not in ((1, -1), (1, 3)):
        raise _refusal(what)
    return Flatten(), {}


def _linear(module: nn.Linear, what: str) -> _Made:
    bias = torch.zeros(module.out_features) if module.bias is None else module.bias
    return Linear(out_features=module.out_features), {"weight": module.weight, "bias": bias}


_MODULES: Mapping[type[nn.Module], Callable[[Any, str], _Made]] = {
    nn.Conv2d: _conv,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: lambda module, what: (Clip(), {}),
    nn.ReLU6: _hardtanh,
    nn.Hardtanh: _hardtanh,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool2d: _adaptive_pool,
    nn.Flatten: _flatten,
    nn.Linear: _linear,
    nn.Identity: lambda module, what: None,
    nn.Dropout: lambda module, what: None,
    nn.Dropout2d: lambda module, what: None,
}

# A functional form takes, after the tensor, what its module takes.
_FUNCTIONS: Mapping[Any, type[nn.Module]] = {
    F.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    F.relu6: nn.ReLU6,
    F.hardtanh: nn.Hardtanh,
    F.max_pool2d: nn.MaxPool2d,
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    torch.flatten: nn.Flatten,
    "flatten": nn.Flatten,
    F.dropout: nn.Identity,
}
_ADDITIONS = (operator.add, operator.iadd, torch.add, "add")


def _functional(node: fx.Node, name: str) -> nn.Module:
    """The module that a function's arguments describe; torch.flatten begins at 0 where nn.Flatten begins at 1."""
    kind = _FUNCTIONS[node.target]
    if kind is nn.Flatten and len(node.args) < 2 and "start_dim" not in node.kwargs:
        raise _refusal(f"{name} from axis 0")
    arguments = {key: value for key, value in node.kwargs.items() if key != "input"}
    return kind(*node.args[1:], **arguments)
