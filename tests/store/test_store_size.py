import dataclasses
import tracemalloc
from pathlib import Path

from store_samples import child, initial

from hwnas.store import RunStore


def test_thousands_of_candidates_take_little_disk_and_little_memory(tmp_path: Path) -> None:
    count = 3_000
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        parent = initial(0)
        grown = child(parent, 1, 0)
        store.add_candidates([parent])
        store.add_candidates([dataclasses.replace(grown, slot=slot) for slot in range(count)])
        tracemalloc.start()
        try:
            seen = sum(row.generation for row in store.rows())
            (_, peak_bytes) = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert seen == count
    # Rows come in chunks of 1,000; all at once they would take about 4,000 bytes each.
    assert peak_bytes < 2.5 * count * 4_000 / 3
    assert (tmp_path / "run" / "run.sqlite").stat().st_size / count < 8_000
