"""A run that was never searched: enough for those who read one."""

from pathlib import Path

from hwnas.config import make_config
from hwnas.store import RunStore
from tests.store.store_samples import child, finished, initial, weights_of


def make_run(folder: Path, outcomes: int = 3) -> RunStore:
    """An open run of some networks, each with weights of its own."""
    config = make_config({"objectives": ["error", "parameters"], "max_error": 1.0}, "the test")
    store = RunStore.create(folder, config=config.model_dump_json(), meta={"hwnas_version": "0", "data_name": "digits"})
    first = initial(0)
    store.add_candidates([first, *(child(first, 1, slot) for slot in range(outcomes - 1))])
    for number, candidate in enumerate(store.candidates()):
        data = weights_of(number)
        store.add_outcome(finished(candidate.id, data, error=0.1 * (number + 1)), data)
    return store
