"""Channel groups: the channels that must grow and shrink together (our definition).

Every tensor is laid out as *runs* of channels. Walking the graph from the image to the logits:

1. A convolution (groups 1) or linear layer begins a run of its own, its filters, and reads the runs of its input.
2. Batch norm, clip, pooling and depthwise convolution pass runs on; those with weights hold one entry a channel.
3. Add and weighted add tie their inputs' runs together, one by one. Where their inputs are cut into runs in different ways,
   none of these can change alone: they are no group.
4. Concat puts runs one after the other; flatten turns a channel into a block of H * W entries.
5. The runs of the image and of the logits, and those that a grouped convolution reads or makes, have a fixed width: no group.

A group is a set of runs tied together. All of them have one width.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from hwnas.graph import Add, BatchNorm, Concat, Conv, Edit, Flatten, Graph, Input, Linear, Node, WeightedAdd
from hwnas.morphism.inheritance import BATCH_NORM_TENSORS, Axis, Keep, Segment, Slice

Fill: TypeAlias = Literal["zeros", "ones", "fresh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a group's channels lie along one axis of one tensor.

    The axis has ``size`` entries; the group's are ``block`` entries a channel, from each of ``starts`` on. Axis 0 holds filters
    and per-channel entries, axis 1 what an outside consumer reads. ``fill`` is what an entry for a new channel holds.
    """

    node: int
    name: str
    axis: int
    size: int
    starts: tuple[int, ...]
    block: int
    fill: Fill

    @property
    def tensor(self) -> str:
        """``"<node id>.<name>"``."""
        return f"{self.node}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Channels tied together: their number, the layers whose filters they are (in topological order) and all their places."""

    width: int
    producers: tuple[int, ...]
    places: tuple[Place, ...]


def channel_groups(graph: Graph) -> tuple[ChannelGroup, ...]:
    """Every group of the graph, in the order of their first producers."""
    walk = _Walk(graph)
    return tuple(walk.group(root) for root in walk.roots())


def read_channels(graph: Graph, concat: int, position: int) -> ChannelGroup | None:
    """The channels of one input of a concat, as they are behind it; None where they are tied to others or have a fixed width."""
    walk = _Walk(graph, cut=(concat, position))
    root = walk.find(walk.cut_run)
    group = walk.group(root)
    return None if group.producers or root in walk.pinned_roots() else group


def resize(
    edit: Edit, graph: Graph, group: ChannelGroup, change: int, run: Callable[[int, int], tuple[Segment, ...]]
) -> tuple[Slice, ...]:
    """Give every node of a group ``change`` channels more for each run; the slices by which its tensors follow.

    ``run(start, block)`` gives the segments that stand in the child for a run that starts at ``start`` in the parent.
    """
    axes: dict[str, list[Axis]] = {}
    fills: dict[str, Fill] = {}
    for place in sorted(group.places, key=lambda place: place.axis):
        if place.axis == 0 and place.name == "weight":
            _resize_node(edit, graph[place.node], change * len(place.starts))
        axes.setdefault(place.tensor, []).append(Axis(axis=place.axis, segments=_segments(place, group.width, run)))
        fills.setdefault(place.tensor, place.fill)
    return tuple(Slice(tensor=name, source=name, axes=tuple(axes[name]), fill=fills[name]) for name in axes)


def _resize_node(edit: Edit, node: Node, change: int) -> None:
    if isinstance(node.op, Linear):
        edit.replace(node.id, replace(node.op, out_features=node.op.out_features + change))
    elif isinstance(node.op, Conv):
        groups = node.op.groups if node.op.groups == 1 else node.op.groups + change
        edit.replace(node.id, replace(node.op, out_channels=node.op.out_channels + change, groups=groups))


def _segments(place: Place, width: int, run: Callable[[int, int], tuple[Segment, ...]]) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    done = 0
    for start in place.starts:
        if start > done:
            segments.append(Keep(start=done, stop=start))
        segments.extend(run(start, place.block))
        done = start + width * place.block
    if done < place.size:
        segments.append(Keep(start=done, stop=place.size))
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class _Run:
    """A run of channels in a tensor; ``entries`` is its width, times H * W behind a flatten."""

    run: int
    entries: int


_Layout: TypeAlias = tuple[_Run, ...]


class _Walk:
    """One pass over a graph that lays out every tensor; runs are numbered, and tied ones share a root (union-find)."""

    def __init__(self, graph: Graph, cut: tuple[int, int] | None = None) -> None:
        self._parent: list[int] = []
        self._width: list[int] = []
        self._pinned: list[int] = []
        self._producers: dict[int, int] = {}  # run -> node
        self._tensors: list[tuple[Node, str, int, _Layout, Fill]] = []
        self.cut_run = -1
        layouts: dict[int, _Layout] = {}
        for node in graph.nodes:
            read = [layouts[source] for source in node.inputs]
            if cut and node.id == cut[0]:
                read[cut[1]] = self._new(sum(run.entries for run in read[cut[1]]))
                self.cut_run = read[cut[1]][0].run
            layouts[node.id] = self._visit(graph, node, read)
        self._pin(layouts[graph.output])

    def find(self, run: int) -> int:
        """The root of a run."""
        while self._parent[run] != run:
            run = self._parent[run]
        return run

    def pinned_roots(self) -> set[int]:
        """Roots whose width is fixed."""
        return {self.find(run) for run in self._pinned}

    def roots(self) -> list[int]:
        """Roots of the groups, in the order of their first producers."""
        pinned = self.pinned_roots()
        return [root for root in dict.fromkeys(self.find(run) for run in self._producers) if root not in pinned]

    def group(self, root: int) -> ChannelGroup:
        """The group of a root."""
        width = self._width[root]
        places = []
        for node, name, axis, layout, fill in self._tensors:
            starts, offset, block = [], 0, 1
            for run in layout:
                if self.find(run.run) == root:
                    starts.append(offset)
                    block = run.entries // width
                offset += run.entries
            if starts:
                place = Place(node=node.id, name=name, axis=axis, size=offset, starts=tuple(starts), block=block, fill=fill)
                places.append(place)
        producers = tuple(node for run, node in self._producers.items() if self.find(run) == root)
        return ChannelGroup(width=width, producers=producers, places=tuple(places))

    def _visit(self, graph: Graph, node: Node, read: list[_Layout]) -> _Layout:
        """The layout of a node's output; the cases of the module's docstring."""
        match node.op:
            case Conv(groups=1) | Linear():  # 1.
                out = self._new(graph.shapes[node.id][0])
                self._producers[out[0].run] = node.id
                self._hold(node, read[0], "weight", axis=1, fill="zeros")
                self._hold_filters(graph, node, out)
                return out
            case Conv(groups=groups) if groups == graph.shapes[node.inputs[0]][0] == graph.shapes[node.id][0]:  # 2.
                self._hold_filters(graph, node, read[0])
                return read[0]
            case Conv() | Input():  # 5.
                out = self._new(graph.shapes[node.id][0])
                self._pin(sum(read, out))
                return out
            case BatchNorm():  # 2.
                fills: tuple[Fill, ...] = ("ones", "zeros", "zeros", "ones")
                for name, fill in zip(BATCH_NORM_TENSORS, fills, strict=True):
                    self._hold(node, read[0], name, axis=0, fill=fill)
                return read[0]
            case Add() | WeightedAdd():  # 3.
                self._tie(read)
                return read[0]
            case Concat():  # 4.
                return sum(read, ())
            case Flatten():  # 4.
                block = graph.shapes[node.id][0] // graph.shapes[node.inputs[0]][0]
                return tuple(_Run(run.run, run.entries * block) for run in read[0])
            case _:  # 2.
                return read[0]

    def _new(self, width: int) -> _Layout:
        self._parent.append(len(self._parent))
        self._width.append(width)
        return (_Run(self._parent[-1], width),)

    def _hold_filters(self, graph: Graph, node: Node, layout: _Layout) -> None:
        self._hold(node, layout, "weight", axis=0, fill="fresh")
        if "bias" in node.op.parameters(graph.input_shapes(node)):
            self._hold(node, layout, "bias", axis=0, fill="zeros")

    def _hold(self, node: Node, layout: _Layout, name: str, *, axis: int, fill: Fill) -> None:
        self._tensors.append((node, name, axis, layout, fill))

    def _pin(self, layout: _Layout) -> None:
        self._pinned.extend(run.run for run in layout)

    def _tie(self, layouts: list[_Layout]) -> None:
        cuts = {tuple((run.entries, self._width[run.run]) for run in layout) for layout in layouts}
        if len(cuts) > 1:
            for layout in layouts:
                self._pin(layout)
            return
        for column in zip(*layouts, strict=True):
            for run in column[1:]:
                self._parent[self.find(run.run)] = self.find(column[0].run)
