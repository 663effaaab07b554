"""The inheritance plan: where each tensor of a child comes from, as data.

A morphism decides, ``network/transfer.py`` executes. A child tensor that no record names is inherited from the parent's tensor
of the same name as it is. Optimiser state is never inherited.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from hwnas.errors import GraphError, MorphismError
from hwnas.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Entries [start, stop) of the source, as they are."""

    start: int
    stop: int
    kind: Literal["keep"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """``count`` entries that the source does not have."""

    count: int
    kind: Literal["gap"] = "gap"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Of the source's entries from ``start`` on, taken in blocks of ``block``, those blocks that an index set names.

    A convolution's input has blocks of 1; a linear layer behind a flatten has blocks of H * W.
    """

    index_set: str
    start: int
    block: int = 1
    kind: Literal["chosen"] = "chosen"


Segment: TypeAlias = Annotated[Keep | Gap | Chosen, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a child's tensor: the segments it is made of, in order."""

    axis: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A tensor cut from a parent's along some axes.

    Entries in a gap of axis 0 (new filters) are filled with 0, with 1 or afresh, as ``fill`` says; those in a gap of the other
    axes alone (new inputs of old filters, a kernel's border) with 0.
    """

    tensor: str
    source: str
    axes: tuple[Axis, ...]
    fill: Literal["zeros", "ones", "fresh"] = "zeros"
    kind: Literal["slice"] = "slice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A tensor of one value."""

    tensor: str
    value: float
    kind: Literal["constant"] = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A convolution's weight that passes its input on (Dirac); depthwise ones too.

    With ``first``, input i goes to filter ``first`` + i, and all other filters are zero.
    """

    tensor: str
    first: int | None = None
    kind: Literal["identity"] = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """He initialisation (normal, fan-in) [He2015] from the candidate's own random stream; vectors (biases) are zero."""

    tensor: str
    kind: Literal["fresh"] = "fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factorised:
    """A convolution's weight as depthwise times pointwise: the best rank-1 factorisation for each input channel (our choice)."""

    depthwise: str
    pointwise: str
    source: str
    kind: Literal["factorised"] = "factorised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The four tensors of a new batch norm: it passes its input on, and is calibrated on training images before training."""

    node: int
    kind: Literal["calibrated"] = "calibrated"


Record: TypeAlias = Annotated[Slice | Constant | Identity | Fresh | Factorised | Calibrated, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopK:
    """An index set: the ``count`` entries along axis 0 of ``source`` of largest L1 norm, in ascending order (our choice)."""

    name: str
    source: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """Where the tensors of a child come from. ``exact``: the child computes what its parent computes."""

    exact: bool
    records: tuple[Record, ...] = ()
    index_sets: tuple[TopK, ...] = ()

    def __post_init__(self) -> None:
        names = [name for record in self.records for name in written(record)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise MorphismError(f"an inheritance plan writes each tensor once, got {twice} more than once")
        known = {index_set.name for index_set in self.index_sets}
        axes = [axis for record in self.records if isinstance(record, Slice) for axis in record.axes]
        used = {segment.index_set for axis in axes for segment in axis.segments if isinstance(segment, Chosen)}
        if used != known:
            raise MorphismError(f"index sets used {sorted(used)} and defined {sorted(known)} must be the same")


@dataclass(frozen=True, slots=True, kw_only=True)
class Morphed:
    """What a morphism returns: the child and the plan by which it inherits."""

    graph: Graph
    inheritance: Inheritance


BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


def written(record: Record) -> tuple[str, ...]:
    """Names of the child tensors that a record gives values to."""
    if isinstance(record, Calibrated):
        return tuple(f"{record.node}.{name}" for name in BATCH_NORM_TENSORS)
    if isinstance(record, Factorised):
        return (record.depthwise, record.pointwise)
    return (record.tensor,)


def check_plan(parent: Graph, child: Graph, plan: Inheritance) -> None:
    """Raise MorphismError unless every tensor of the child is named by the plan or stands in the parent in the same shape."""
    before, after = parent.tensors(), child.tensors()
    named = {name for record in plan.records for name in written(record)}
    unknown = sorted(named - after.keys())
    if unknown:
        raise MorphismError(f"the plan writes {unknown}, which the child does not have")
    orphans = sorted(name for name, shape in after.items() if name not in named and before.get(name) != shape)
    if orphans:
        raise MorphismError(f"no record says where the child's tensors {orphans} come from")
    sources = {r.source for r in plan.records if isinstance(r, Slice | Factorised)} | {s.source for s in plan.index_sets}
    if sources - before.keys():
        raise MorphismError(f"the plan reads {sorted(sources - before.keys())}, which the parent does not have")


_codec = TypeAdapter(Inheritance)


def to_json(plan: Inheritance) -> str:
    """The plan as JSON."""
    return _codec.dump_json(plan).decode()


def from_json(text: str) -> Inheritance:
    """The plan that ``to_json`` wrote. Raises GraphError where it is not one."""
    try:
        return _codec.validate_json(text)
    except ValidationError as error:
        raise GraphError(f"not an inheritance plan: {error}") from None
