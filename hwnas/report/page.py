"""The page of a run: one HTML file that needs no network and no other file."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hwnas.objective import Objective
from hwnas.report import payload
from hwnas.report.entry import Entry, entries, why_of_no_use
from hwnas.report.facts import data_facts, device_facts, limits_of, texts_of
from hwnas.report.original import beside_original
from hwnas.report.rendering import rendered
from hwnas.report.status import why_ended
from hwnas.report.suggestions import names_of, suggestions
from hwnas.report.table import columns_of, percent
from hwnas.store import RunStore


def page(store: RunStore, objectives: Sequence[Objective], *, refresh_s: float | None = None) -> str:
    """The run as HTML; it may be at work still. What an older version did not keep is unknown; StoreError for what is damaged.

    ``refresh_s``: the page loads itself again after so many seconds, for a file that is written again while the run is at work.
    """
    found = entries(store.rows(), objectives)
    front = [entry for entry in found if entry.on_front]
    warning = why_of_no_use(found, objectives)
    config = json.loads(store.config)
    drawn = _payload(store, objectives, found, config)
    return rendered(
        "report.html.j2",
        name=store.folder.resolve().name,
        lead=_lead(store, found),
        warning=None if warning is None else f"{warning[0].upper()}{warning[1:]}.",
        original=beside_original(found),
        refresh_s=refresh_s,
        table=_table(front, objectives),
        has_front=bool(front),
        campaigns=drawn["campaigns"],
        facts={"Data": data_facts(store), "Device": device_facts(store)},
        config=json.dumps(config, indent=2, ensure_ascii=False),
        data=drawn,
    )


def _payload(store: RunStore, objectives: Sequence[Objective], found: Sequence[Entry], config: Any) -> dict[str, Any]:
    front = [entry for entry in found if entry.on_front]
    limits = limits_of(config if isinstance(config, dict) else {}, store.find_meta("profile"))
    return {
        "run": store.folder.resolve().name,
        "axes": payload.axes(found, objectives, limits),
        "networks": payload.networks(found, objectives, names_of(suggestions(front, objectives))),
        "drawings": payload.drawings(found),
        "progress": payload.progress(store, found),
        "latencies": payload.latencies(store, found),
        "campaigns": payload.campaigns(store),
    }


def _lead(store: RunStore, found: Sequence[Entry]) -> str:
    state = why_ended(store) or "not ended: at work, or interrupted"
    counts = Counter(entry.status for entry in found)
    trained = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.most_common()) or "nothing finished yet"
    front = [entry for entry in found if entry.on_front]
    best = f"; best validation error {percent(front[0].value('error'))}" if front else ""
    data, version = (", ".join(texts_of(store.find_meta(fact))) for fact in ("data_name", "hwnas_version"))
    return f"{data}: {len(front)} models on the front{best}. {trained}. {state}. hwnas {version}."


def _table(front: Sequence[Entry], objectives: Sequence[Objective]) -> dict[str, Any]:
    columns = columns_of(front, objectives)
    return {
        "heads": [{"title": column.title, "number": column.number} for column in columns],
        "rows": [{"id": entry.id, "cells": [column.text(entry) for column in columns]} for entry in front],
    }
