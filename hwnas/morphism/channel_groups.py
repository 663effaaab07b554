"""Channel groups: the channels that must grow and shrink together (our definition).

Every tensor is laid out as *runs* of channels. Walking the graph from the image to the logits:

Each operation says which case it is (``Op.layout``):

1. *Makes*: a convolution (groups 1) or linear layer begins a run of its own, its filters, and reads the runs of its input.
2. *Passes*: batch norm, activations, pooling and depthwise convolution pass runs on; their weights hold one entry a channel.
3. *Ties*: sums and products tie their inputs' runs together, one by one. Where their inputs are cut into runs in different ways,
   none of these can change alone: they are no group.
4. *Joins*: concat puts runs one after the other. *Spreads*: flatten turns a channel into a block of H * W entries.
5. *Pins*: the runs of the image and of the logits, and those that a grouped convolution or a norm over channels reads or makes,
   have a fixed width: no group.

A group is a set of runs tied together. All of them have one width.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hwnas.graph import Edit, Graph, Node
from hwnas.graph.ops import Initial, Joins, Makes, Passes, Pins, Spreads, Ties
from hwnas.morphism.inheritance import Axis, Keep, Segment, Slice


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
    fill: Initial

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
    return walk.groups(walk.roots())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A layer whose filters nothing may add or remove, and ``why``."""

    node: int
    why: str


def pinned_layers(graph: Graph) -> tuple[Pinned, ...]:
    """The convolutions and linear layers whose channels are no group, in topological order."""
    walk = _Walk(graph)
    reasons = walk.pinned_roots()
    return tuple(Pinned(node=node, why=reasons[root]) for node, root in walk.producers() if root in reasons)


def prunable_share(graph: Graph) -> float:
    """The share in [0, 1] of a network's parameters that removing channels can remove (our definition).

    A parameter counts where the filter that it belongs to is a channel of a group, or the channel that it reads is one.
    """
    fixed = dict.fromkeys(graph.parameters(), 1.0)  # of each tensor, the share that no axis lets go
    covered: dict[tuple[str, int], int] = {}
    sizes: dict[tuple[str, int], int] = {}
    for group in channel_groups(graph):
        for place in group.places:
            key = (place.tensor, place.axis)
            covered[key] = covered.get(key, 0) + len(place.starts) * group.width * place.block
            sizes[key] = place.size
    for (tensor, axis), count in covered.items():
        if tensor in fixed:
            fixed[tensor] *= 1 - count / sizes[tensor, axis]
    elements = {name: math.prod(shape) for name, shape in graph.parameters().items()}
    total = sum(elements.values())
    return sum(elements[name] * (1 - share) for name, share in fixed.items()) / total if total else 0.0


def read_channels(graph: Graph, concat: int, position: int) -> ChannelGroup | None:
    """The channels of one input of a concat, as they are behind it; None where they are tied to others or have a fixed width."""
    walk = _Walk(graph, cut=(concat, position))
    root = walk.find(walk.cut_run)
    (group,) = walk.groups([root])
    return None if group.producers or root in walk.pinned_roots() else group


Run: TypeAlias = Callable[[int, int], tuple[Segment, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A group that gets ``more`` channels for each of its runs, or fewer.

    ``run(start, block)`` gives the segments that stand in the child for a run that starts at ``start`` in the parent.
    """

    group: ChannelGroup
    more: int
    run: Run


def resize(edit: Edit, graph: Graph, changes: Sequence[Change]) -> tuple[Slice, ...]:
    """Change the widths of groups in every node that has channels of theirs; the slices by which its tensors follow."""
    more: Counter[int] = Counter()
    parts: dict[tuple[str, int], list[tuple[int, int, tuple[Segment, ...]]]] = {}  # (start, stop, what stands there)
    sizes: dict[tuple[str, int], int] = {}
    fills: dict[str, Initial] = {}
    counted: set[tuple[int, int]] = set()
    for number, change in enumerate(changes):
        for place in sorted(change.group.places, key=lambda place: place.axis):
            if place.axis == 0 and (number, place.node) not in counted:
                more[place.node] += change.more * len(place.starts)
                counted.add((number, place.node))
            span, key = change.group.width * place.block, (place.tensor, place.axis)
            sizes[key] = place.size
            parts.setdefault(key, []).extend((start, start + span, change.run(start, place.block)) for start in place.starts)
            fills.setdefault(place.tensor, place.fill)
    for node, change_of_node in more.items():
        edit.replace(node, graph[node].op.resized(change_of_node))
    axes: dict[str, list[Axis]] = {}
    for (tensor, axis), found in sorted(parts.items(), key=lambda item: item[0][1]):
        axes.setdefault(tensor, []).append(Axis(axis=axis, segments=_segments(sizes[tensor, axis], sorted(found, key=_start))))
    return tuple(Slice(tensor=name, source=name, axes=tuple(axes[name]), fill=fills[name]) for name in axes)


def _start(part: tuple[int, int, tuple[Segment, ...]]) -> int:
    return part[0]


def _segments(size: int, parts: Iterable[tuple[int, int, tuple[Segment, ...]]]) -> tuple[Segment, ...]:
    """What an axis of ``size`` entries is made of, where other segments stand for its ``parts``."""
    segments: list[Segment] = []
    done = 0
    for start, stop, others in parts:
        if start > done:
            segments.append(Keep(start=done, stop=start))
        segments.extend(others)
        done = stop
    if done < size:
        segments.append(Keep(start=done, stop=size))
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
        self._pinned: dict[int, str] = {}  # run -> why
        self._producers: dict[int, int] = {}  # run -> node
        self._tensors: list[tuple[Node, str, int, _Layout, Initial]] = []
        self.cut_run = -1
        layouts: dict[int, _Layout] = {}
        for node in graph.nodes:
            read = [layouts[source] for source in node.inputs]
            if cut and node.id == cut[0]:
                read[cut[1]] = self._new(sum(run.entries for run in read[cut[1]]))
                self.cut_run = read[cut[1]][0].run
            layouts[node.id] = self._visit(graph, node, read)
        self._pin(layouts[graph.output], "its channels are the classes")

    def find(self, run: int) -> int:
        """The root of a run."""
        while self._parent[run] != run:
            run = self._parent[run]
        return run

    def pinned_roots(self) -> dict[int, str]:
        """Roots whose width is fixed, and why."""
        return {self.find(run): why for run, why in reversed(self._pinned.items())}

    def producers(self) -> list[tuple[int, int]]:
        """The layers that begin a run, in topological order, each with the root of its run."""
        return [(node, self.find(run)) for run, node in self._producers.items()]

    def roots(self) -> list[int]:
        """Roots of the groups, in the order of their first producers."""
        pinned = self.pinned_roots()
        return [root for root in dict.fromkeys(self.find(run) for run in self._producers) if root not in pinned]

    def groups(self, roots: Sequence[int]) -> tuple[ChannelGroup, ...]:
        """The groups of these roots, all in one pass over the tensors."""
        places: dict[int, list[Place]] = {root: [] for root in roots}
        producers: dict[int, list[int]] = {root: [] for root in roots}
        for node, name, axis, layout, fill in self._tensors:
            starts: dict[int, list[int]] = {}
            blocks: dict[int, int] = {}
            offset = 0
            for run in layout:
                root = self.find(run.run)
                if root in places:
                    starts.setdefault(root, []).append(offset)
                    blocks[root] = run.entries // self._width[root]
                offset += run.entries
            for root, begins in starts.items():
                place = Place(
                    node=node.id, name=name, axis=axis, size=offset, starts=tuple(begins), block=blocks[root], fill=fill
                )
                places[root].append(place)
        for number, root in self.producers():
            if root in producers:
                producers[root].append(number)
        return tuple(
            ChannelGroup(width=self._width[root], producers=tuple(producers[root]), places=tuple(places[root])) for root in roots
        )

    def _visit(self, graph: Graph, node: Node, read: list[_Layout]) -> _Layout:
        """The layout of a node's output; the cases of the module's docstring."""
        match node.op.layout(graph.input_shapes(node)):
            case Makes(filters=filters, reads=reads):  # 1.
                out = self._new(graph.shapes[node.id][0])
                self._producers[out[0].run] = node.id
                for name in reads:
                    self._hold(node, read[0], name, axis=1, fill="zeros")
                self._hold_each(node, out, filters)
                return out
            case Passes(tensors=tensors):  # 2.
                self._hold_each(node, read[0], tensors)
                return read[0]
            case Ties():  # 3.
                self._tie(read)
                return read[0]
            case Joins():  # 4.
                return sum(read, ())
            case Spreads():  # 4.
                block = graph.shapes[node.id][0] // graph.shapes[node.inputs[0]][0]
                return tuple(_Run(run.run, run.entries * block) for run in read[0])
            case Pins():  # 5.
                out = self._new(graph.shapes[node.id][0])
                self._pin(sum(read, out), f"a {node.op.kind} reads or makes them, whose channels are fixed")
                return out

    def _new(self, width: int) -> _Layout:
        self._parent.append(len(self._parent))
        self._width.append(width)
        return (_Run(self._parent[-1], width),)

    def _hold_each(self, node: Node, layout: _Layout, names: tuple[str, ...]) -> None:
        for name in names:
            self._hold(node, layout, name, axis=0, fill=node.op.initial(name))

    def _hold(self, node: Node, layout: _Layout, name: str, *, axis: int, fill: Initial) -> None:
        self._tensors.append((node, name, axis, layout, fill))

    def _pin(self, layout: _Layout, why: str) -> None:
        for run in layout:
            self._pinned.setdefault(run.run, why)

    def _tie(self, layouts: list[_Layout]) -> None:
        cuts = {tuple((run.entries, self._width[run.run]) for run in layout) for layout in layouts}
        if len(cuts) > 1:
            for layout in layouts:
                self._pin(layout, "they are added to or multiplied by channels that are cut in other ways")
            return
        for column in zip(*layouts, strict=True):
            for run in column[1:]:
                self._parent[self.find(run.run)] = self.find(column[0].run)
