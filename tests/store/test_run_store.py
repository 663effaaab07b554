from collections.abc import Iterator
from pathlib import Path

import pytest

from hwnas.candidate import Failure, Outcome
from hwnas.errors import RunFolderError, StoreError
from hwnas.store import RunStore, content_hash
from store_samples import child, finished, initial, weights_of
from tests.graphs import SAMPLES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore.create(tmp_path / "run", config='{"seed": 0}', meta={"version": "0.1.0"}) as made:
        yield made


def reopened(store: RunStore, *, write: bool = False) -> RunStore:
    store.close()
    return RunStore.open(store.folder, write=write)


def test_what_is_written_is_read_back_by_another_connection(store: RunStore) -> None:
    parents = [initial(slot, name) for slot, name in enumerate(SAMPLES)]
    children = [child(parent, 1, slot) for slot, parent in enumerate(parents)]
    store.add_candidates(parents)
    store.add_candidates(children, ask={"duplicates": 3, "seconds": 0.1})
    outcomes = []
    for number, parent in enumerate(parents[:2]):
        outcomes.append(finished(parent.id, weights_of(number)))
        store.add_outcome(outcomes[-1], weights_of(number))
    outcomes.append(Outcome(candidate_id="g0-3", status="failed", failure=Failure(kind="diverged", message="NaN at step 3")))
    store.add_outcome(outcomes[-1], None)
    with reopened(store) as reader:
        assert list(reader.candidates()) == parents + children
        assert reader.candidate("g1-2") == children[2]
        assert list(reader.outcomes()) == outcomes
        assert reader.outcome("g0-1") == outcomes[1]
        assert reader.outcome("g1-0") is None
        assert reader.weights(content_hash(weights_of(1))) == weights_of(1)
        assert reader.config == '{"seed": 0}'
        assert reader.meta("version") == "0.1.0"
        (ask,) = reader.events("ask")
        assert (ask.generation, ask.payload) == (1, {"duplicates": 3, "seconds": 0.1})
        for row, candidate in zip(reader.rows(), parents + children, strict=True):
            shown = (row.id, row.parent, row.operator, row.exact, row.architecture_id, row.cheap)
            assert shown == (
                candidate.id,
                candidate.parent,
                candidate.operator,
                candidate.exact,
                candidate.architecture_id,
                candidate.cheap,
            )
