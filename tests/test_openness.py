"""An operation, objectives, a strategy and an operator that are defined in this file alone go all the way through a run.

No file of hwnas names any of them. They are known by this module's name, as a user's own would be.
"""

import sys
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.random import Generator

import hwnas
from hwnas.api import configured
from hwnas.candidate import Candidate, Outcome, stream_seed
from hwnas.data import DataSet
from hwnas.errors import ConfigError, RequestError, WorkError
from hwnas.graph import Edit, Graph
from hwnas.graph.ops import OnnxForm, Op, Passes, Shape, registry
from hwnas.morphism import KNOWN, Morphed
from hwnas.morphism.inheritance import Inheritance
from hwnas.morphism.operator import Site, require_site
from hwnas.network import Network, compute
from hwnas.objective import Objective
from hwnas.objectives import SOURCES, GraphObjective, TrainedObjective
from hwnas.pareto import AddReport
from hwnas.search import STRATEGIES, Ask, Problem, Proposals
from hwnas.testing import check_objective, check_op, check_operator, check_strategy
from tests.morphism.test_brought import option_a

HERE = __name__


@dataclass(frozen=True, slots=True, kw_only=True)
class Double(Op):
    """Two times its input."""

    kind: ClassVar[str] = "toy_double"
    channelwise: ClassVar[bool] = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def layout(self, inputs: Sequence[Shape]) -> Passes:
        return Passes()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        return (1.0,)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        return OnnxForm.single("Add", ("x0", "x0"))


class InsertDouble:
    """Double a feature map. A site is ``(x,)``: the node behind which it goes."""

    name, exact = "insert_double", False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        return tuple(Site((node.id,)) for node in graph if node.inputs and len(graph.shapes[node.id]) == 3)

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        require_site(self, graph, site)
        edit = Edit(graph)
        doubled = edit.insert(Double(), site.nodes[0])
        edit.redirect(site.nodes[0], doubled, but=(doubled,))
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=False))


class Depth(GraphObjective):
    """How many nodes a network has."""

    objective = Objective(name="depth", unit="nodes", cheap=True, title="toy depth", text="count")

    def of_graph(self, graph: Graph) -> float:
        return float(len(list(graph)))


class LargestWeight(TrainedObjective):
    """The largest weight of a trained network."""

    objective = Objective(name="largest_weight", log_scale=True)

    def of_trained(self, network: Network, data: DataSet) -> float:
        return max(float(tensor.abs().max()) for tensor in network.state().values()) + 1e-6


class Broken(TrainedObjective):
    """An objective that raises."""

    objective = Objective(name="broken_toy")

    def of_trained(self, network: Network, data: DataSet) -> float:
        raise ZeroDivisionError("no data")


class BrokenDepth(Depth):
    """An objective of the graph that raises."""

    objective = Objective(name="broken_depth", cheap=True)

    def of_graph(self, graph: Graph) -> float:
        raise KeyError("a node")


@dataclass(frozen=True, kw_only=True)
class RandomRestarts:
    """Children of any network that finished, drawn uniformly."""

    children: int = 3
    inherits: bool = True

    def begin(self, problem: Problem) -> "Restarting":
        return Restarting(self, problem)


class Restarting:
    def __init__(self, settings: RandomRestarts, problem: Problem) -> None:
        self._settings, self._proposals, self._seed = settings, Proposals(problem), problem.seed
        self._asked: dict[str, Candidate] = {}
        self._finished: list[str] = []

    def ask(self, count: int | None = None) -> Ask:
        generation = self._proposals.history.generation
        if not self._finished:
            answer = self._proposals.answer(self._proposals.first())
        else:
            rng = np.random.default_rng(stream_seed(self._seed, "restart", generation))
            ordered = sorted(self._finished)
            parents = [self._asked[ordered[int(rng.integers(len(ordered)))]] for _ in range(12)]
            found, known, over = self._proposals.children(parents, 1, rng)
            accepted = self._proposals.candidates(found[: count or self._settings.children])
            answer = self._proposals.answer(Ask(candidates=accepted, proposed=12, duplicates=known, over_limit=over))
        self._asked |= {each.id: each for each in answer.candidates}
        return answer

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        self._asked |= {each.id: each for each in candidates}
        self._proposals.adopt(candidates)

    def tell(self, outcome: Outcome) -> AddReport | None:
        if outcome.status == "finished":
            self._finished.append(outcome.candidate_id)
        return self._proposals.tell(outcome)

    @property
    def front(self) -> tuple[str, ...]:
        return self._proposals.history.front

    @property
    def needed(self) -> Set[str]:
        return frozenset(self._finished)


@dataclass(frozen=True, kw_only=True)
class Failing(RandomRestarts):
    """A strategy that raises where it is asked."""

    def begin(self, problem: Problem) -> "Restarting":
        raise ZeroDivisionError("no plan")


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """The operation is known while the tests of this file run; others count those of hwnas."""
    hwnas.register_op(Double)
    hwnas.register_compute(Double, lambda op: lambda inputs, tensors, training: inputs[0] * 2)
    yield
    registry._REGISTERED.pop(Double.kind)
    compute._REGISTERED.pop(Double)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> hwnas.Run:
    return hwnas.start(
        tmp_path_factory.mktemp("open") / "run",
        config={"budget": {"images_per_child": 320}, "max_error": 1.0},
        workers=0,
        objectives=["error", "parameters", Depth(), LargestWeight()],
        strategy=RandomRestarts(children=4),
        operators=[InsertDouble(), "widen"],
        imports=[HERE],
        keep="front",
        generations=2,
    )


def test_all_of_them_go_through_a_search_and_a_resume(run: hwnas.Run) -> None:
    run.resume(generations=3)
    rows = run.rows()
    children = [entry for entry in rows if entry.row.generation]
    assert {entry.row.operator for entry in children} == {"insert_double", "widen"}
    assert len(children) == 12
    for entry in rows:
        if entry.status == "finished":
            assert entry.value("depth") == Depth().of_graph(entry.row.candidate.graph)
            assert entry.value("largest_weight") > 0
    assert [objective.name for objective in run.objectives] == ["error", "parameters", "depth", "largest_weight"]
    record = rows[0].to_json()
    assert record["depth"] == rows[0].value("depth")


def test_what_reads_a_run_shows_them(run: hwnas.Run) -> None:
    assert "toy depth nodes" in run.report().read_text()
    assert run.pick(prefer={"depth": 1}).entry.value("depth") == min(entry.value("depth") for entry in run.front())


def test_a_network_with_the_operation_is_exported_and_faulted(run: hwnas.Run, tmp_path: Path) -> None:
    finished = (entry for entry in run.rows() if entry.status == "finished" and entry.row.operator == "insert_double")
    doubled = next(finished)  # its weights are there, on the front or not: the strategy needs them
    manifest = run.export(tmp_path / "bundle", models=[doubled.id])
    assert {file.id for file in manifest.files} == {doubled.id}
    faulted = run.faults(models=[doubled.id], faults=("single",), half_width=5.0)
    assert [each.model for each in faulted.networks] == [doubled.id]


@pytest.mark.parametrize("name", [*SOURCES, f"{HERE}:Depth", f"{HERE}:LargestWeight"])
def test_objectives_keep_their_promises(name: str) -> None:
    check_objective(name)


@pytest.mark.parametrize("name", [*KNOWN, f"{HERE}:InsertDouble"])
def test_operators_keep_their_promises(name: str) -> None:
    check_operator(name, [option_a((8, 8))] if name == "project_shortcut" else None)  # digits' own graphs pad nothing


@pytest.mark.parametrize("name", [*STRATEGIES, f"{HERE}:RandomRestarts"])
def test_strategies_keep_their_promises(name: str) -> None:
    check_strategy(name)


def test_the_operation_keeps_its_promises() -> None:
    check_op(Double())


TINY = {"budget": {"images_per_child": 32, "generations": 1}, "max_error": 1.0, "workers": 0}


def test_an_exception_in_an_objective_is_an_outcome_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="the objective broken_toy failed: ZeroDivisionError: no data"):
        hwnas.start(tmp_path / "run", config=TINY, objectives=["error", Broken()])
    statuses = {entry.failure for entry in hwnas.open_run(tmp_path / "run").rows()}
    assert statuses == {"work_failed: the objective broken_toy failed: ZeroDivisionError: no data"}


def test_an_exception_in_a_strategy_or_an_objective_of_the_graph_ends_the_run_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match="the strategy Failing failed: ZeroDivisionError: no plan"):
        hwnas.start(tmp_path / "a", config=TINY, objectives=["error", "macs"], strategy=Failing())
    with pytest.raises(WorkError, match="the objective broken_depth failed: KeyError"):
        hwnas.start(tmp_path / "b", config=TINY, objectives=["error", BrokenDepth()])


def test_a_resume_asks_for_the_same_things(run: hwnas.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InsertDouble, "version", 2, raising=False)
    with pytest.raises(RequestError, match=rf"another version of {HERE}:InsertDouble \(version 1, now 2\)"):
        run.resume(generations=9)
    monkeypatch.undo()
    monkeypatch.delattr(sys.modules[HERE], "RandomRestarts")
    with pytest.raises(RequestError, match=f"{HERE}:RandomRestarts"):
        run.resume(generations=9)


def test_things_that_cannot_be_found_again_are_refused() -> None:
    class Local(Depth):
        pass

    with pytest.raises(RequestError, match="could not find"):
        configured(objectives=["error", Local()])
    with pytest.raises(RequestError, match=r"the module no\.such, wanted for no\.such:Thing, cannot be imported"):
        configured(strategy="no.such:Thing")
    with pytest.raises(ConfigError, match="unknown strategy 'magic'"):
        configured(strategy="magic")
