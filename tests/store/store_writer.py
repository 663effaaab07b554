"""A process that writes to a run until it is killed, and says on stdout what is on the disk: ``store_writer.py FOLDER``."""

import sys
from pathlib import Path

from store_samples import child, finished, initial, weights_of

from hwnas.store import RunStore

SLOTS = 4


def main() -> None:
    folder = Path(sys.argv[1])
    if folder.exists():
        store = RunStore.open(folder, write=True)
    else:
        store = RunStore.create(folder, config="{}", meta={})
        store.add_candidates([initial(0)], ask={})
    start = max(row.generation for row in store.rows()) + 1
    parent = store.candidate("g0-0")
    for generation in range(start, start + 10_000):
        store.add_candidates([child(parent, generation, slot, steps=1) for slot in range(SLOTS)], ask={"n": SLOTS})
        for slot in range(SLOTS):
            data = weights_of(generation * SLOTS + slot, size=5_000)
            store.add_outcome(finished(f"g{generation}-{slot}", data), data)
            print(f"g{generation}-{slot}", flush=True)


if __name__ == "__main__":
    main()
