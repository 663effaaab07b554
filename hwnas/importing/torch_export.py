"""A user's own torch model as a graph and its state.

torch.export gives the model's operations as a program without side effects; each is translated (``hwnas.importing.aten``) or
refused with the line of the user's source, and what came out is compared with the model on random images. Dropout and
stochastic depth do nothing in eval mode and are left out.
"""

import inspect
import operator
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from hwnas.errors import GraphError, ModelError
from hwnas.graph import Graph, Input
from hwnas.importing.aten import ATEN
from hwnas.importing.call import Call, Constant, Held, Parts, Value
from hwnas.importing.taken import TOLERANCE, Answers, Taken, in_batches, parity, require_agreement
from hwnas.importing.translation import Translation
from hwnas.network import State

# What may give its argument itself, though its schema says that it gives a tensor of its own.
MAY_ALIAS = frozenset(f"aten::{name}" for name in ("dropout", "reshape", "contiguous", "to", "flatten", "feature_dropout"))
BATCH = 2  # one image would make the batch look like any other axis of size 1


def import_module(module: nn.Module, *, channels: int, height: int, width: int) -> tuple[Graph, State]:
    """The graph that computes what ``module`` computes in eval mode for (normalised) images of this size, and its state.

    The module is not changed, and the state shares no memory with it.

    Raises:
        ModelError: naming the operation that cannot be taken, and the line that it stands in.
    """
    taken = take_module(module, channels=channels, height=height, width=width)
    return taken.graph, taken.state


def take_module(module: nn.Module, *, channels: int, height: int, width: int) -> Taken:
    """As ``import_module``, with the module's own names and answers. Raises ModelError."""
    _refuse_other_inputs(module)
    _refuse_cumulative(module)
    images = _images(BATCH, channels, height, width)

    def answers(images: Tensor) -> Tensor:
        with _in_eval_mode(module):
            return _run(module, images)

    expected = answers(images)
    with _in_eval_mode(module):
        program = _exported(module, images)
    return replace(_taken_of(program, images, expected, answers), module=module)


def take_program(program: ExportedProgram, *, channels: int, height: int, width: int) -> Taken:
    """As ``take_module``, of a program that torch.export made of a model in eval mode, such as ``torch.export.load`` gives.

    Raises ModelError.
    """
    size = image_shape(program)[0]
    images = _images(size or BATCH, channels, height, width)
    module = program.module()
    expected = _run(module, images)
    if size is None:  # the sizes of a program for any batch are symbols; this one has numbers
        program = _exported(module, images)
    return _taken_of(program, images, expected, lambda images: in_batches(lambda part: _run(module, part), images, size))


def image_shape(program: ExportedProgram) -> tuple[int | None, ...]:
    """The shape (n, C, H, W) of the images that a program takes, None for a size that may be any. Raises ModelError."""
    takes = [tuple(node.meta["val"].shape) for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
    if len(takes) != 1 or len(takes[0]) != 4:
        raise ModelError(f"expected a program with one input, images (n, C, H, W), got {takes}; export the model for these")
    return tuple(size if isinstance(size, int) else None for size in takes[0])


def _images(batch: int, channels: int, height: int, width: int) -> Tensor:
    return torch.randn(batch, channels, height, width, generator=torch.Generator().manual_seed(0))


def _taken_of(program: ExportedProgram, images: Tensor, expected: Tensor, answers: Answers) -> Taken:
    _, channels, height, width = images.shape
    if not _is_plain(program):
        with warnings.catch_warnings():  # of torch's own use of what it deprecates itself
            warnings.simplefilter("ignore", FutureWarning)
            program = program.run_decompositions({})  # without side effects
    made = Translation(Input(channels=channels, height=height, width=width))
    output = _translate(program, made)
    try:
        graph, state = made.finished(output)
    except GraphError as error:
        raise ModelError(f"the model is no classifier of {channels}x{height}x{width} images: {error}") from error
    found = parity(graph, state, images, expected)
    require_agreement(
        found,
        TOLERANCE,
        "the imported network does not compute what the model computes; it changes from call to call, or hwnas took it wrongly: "
        "please report it",
    )
    return Taken(graph=graph, state=state, names=made.names(output), answers=answers, parity=found)


def _translate(program: ExportedProgram, made: Translation) -> Value:
    """Take in every operation; gives what the program returns."""
    tensors = _own_tensors(program)
    for node in program.graph.nodes:
        if node.op == "placeholder":
            made.held[node] = tensors.get(node.name, Value(node=1))
        elif node.op == "call_function":
            if node.users or node.is_impure():
                made.held[node] = _taken(made, Call(node, made.held))
        elif node.op == "output":
            held: Any = made.held.get(node.args[0][0])
            if not isinstance(held, Value) or held.channels_last:
                raise ModelError("expected a model that returns logits (n, classes), computed from the images")
            return held
        else:
            raise ModelError(f"cannot take {node.target}, a {node.op} of the exported program: a branch or loop over data")
    raise ModelError("the exported program returns nothing")


def _is_plain(program: ExportedProgram) -> bool:
    """Whether a program can be taken as it was exported, which saves most of the time: its operations are known, in their forms.

    An operation in place is plain where nothing else could see it: it alone reads what it changes, which is no view.
    """
    for node in program.graph.nodes:
        if node.op != "call_function":
            if node.op not in ("placeholder", "output"):
                return False
        elif isinstance(node.target, torch._ops.OpOverload):
            schema = node.target._schema
            if schema.name.removesuffix("_") not in ATEN or (schema.is_mutable and not _changes_its_own(node)):
                return False
        elif node.target is not operator.getitem:
            return False
    return True


def _changes_its_own(node: fx.Node) -> bool:
    """Whether an operation in place changes its first argument alone, a tensor that no other operation sees."""
    changed = node.args[0]
    if not isinstance(changed, fx.Node) or len(changed.users) > 1 or not isinstance(changed.target, torch._ops.OpOverload):
        return False
    arguments = node.target._schema.arguments  # type: ignore[union-attr]
    alone = [bool(each.alias_info and each.alias_info.is_write) for each in arguments]
    source = changed.target._schema
    is_new = all(each.alias_info is None for each in source.returns) and source.name not in MAY_ALIAS
    return alone[0] and sum(alone) == 1 and (is_new or (source.is_mutable and _changes_its_own(changed)))


def _taken(made: Translation, call: Call) -> Held:
    target = call.node.target
    if target is operator.getitem:
        source, place = call.node.args
        held = made.held[source] if isinstance(source, fx.Node) else None
        if not isinstance(held, Parts) or not isinstance(place, int) or place >= len(held.parts):
            raise Call(source, made.held).refuse(f"its output {place} is not known here")  # type: ignore[arg-type]
        return held.parts[place]
    take = ATEN.get(call.name) or ATEN.get(call.name.removesuffix("_"))  # in place, as _is_plain lets it pass
    if call.is_constant() and isinstance(target, torch._ops.OpOverload):
        return call.compute()
    if take is None:
        known = ", ".join(sorted(name.removeprefix("aten::") for name in ATEN))
        raise call.refuse(f"no operation of hwnas computes it; supported are {known}")
    held = take(made, call)
    if isinstance(held, Value) and made.as_torch_sees(held) != call.shape[1:]:
        raise call.refuse(f"it gives {call.shape[1:]} an image, not {made.as_torch_sees(held)}, as such a layer does")
    return held


def _own_tensors(program: ExportedProgram) -> dict[str, Constant]:
    """The model's own tensors by the names of their placeholders; tensors that share memory have the first one's name."""
    found: dict[str, Constant] = {}
    first: dict[tuple[int, int], str] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            continue
        name = spec.target or spec.arg.name
        tensor = program.state_dict[name] if name in program.state_dict else program.constants[name]
        if not isinstance(tensor, Tensor):
            raise ModelError(f"the model holds {name}, a {type(tensor).__name__}, where a tensor was expected")
        own = first.setdefault((tensor.untyped_storage().data_ptr(), int(tensor.storage_offset())), name)
        found[str(spec.arg.name)] = Constant(tensor=tensor.detach(), names=frozenset({own if tensor.numel() else name}))
    return found


def _exported(module: nn.Module, images: Tensor) -> ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return torch.export.export(module, (images,), strict=False)
    except Exception as error:  # the model's own code runs in it, and may fail in any way
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"expected a model that torch.export can take, without decisions that depend on data: {reason}; write such a "
            "decision without if and for, such as torch.where, or export the model to ONNX"
        ) from error


def _run(module: Callable[[Tensor], Any], images: Tensor) -> Tensor:
    """The model's own logits. Raises ModelError where it does not take the images, or gives anything else."""
    size = "x".join(map(str, images.shape[1:]))
    try:
        with torch.no_grad():
            given = module(images.clone())
    except Exception as error:  # the user's own code
        raise ModelError(f"expected a model that takes {size} images, in float32 and on the CPU: {error}") from error
    if not isinstance(given, Tensor):
        several = isinstance(given, tuple | list | dict)
        what = f"{len(given)} values in a {type(given).__name__}" if several else f"a {type(given).__name__}"
        raise ModelError(
            f"expected a model that returns one tensor of logits, got {what}; wrap the model to return the logits alone"
        )
    if given.dim() != 2:
        raise ModelError(f"the model is no classifier of {size} images: it gives {tuple(given.shape)}, not logits (n, classes)")
    return given


def _refuse_other_inputs(module: nn.Module) -> None:
    """Raise ModelError for a model that needs anything but the images."""
    takes = inspect.signature(module.forward).parameters.values()
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [each.name for each in takes if each.default is each.empty and each.kind not in optional]
    if len(needed) > 1:
        raise ModelError(f"expected a model with one input, the images; {', '.join(needed[1:])} is another one: wrap the model")


def _refuse_cumulative(module: nn.Module) -> None:
    """Raise ModelError for batch norms whose statistics are a cumulative average: the program does not say so."""
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.momentum is None:
            raise ModelError(f"cannot take {name} ({part}) with momentum None, a cumulative average; give it one, such as 0.1")


@contextmanager
def _in_eval_mode(module: nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True
