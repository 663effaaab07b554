"""The page of a run: one HTML file that needs no network and no other file."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

import plotly.io
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs

from hwnas.objective import Objective
from hwnas.report.entry import Entry, entries, why_of_no_use
from hwnas.report.figures import Summary, lineage, progress, trade_offs
from hwnas.report.predictor import predictor_error
from hwnas.report.status import why_ended
from hwnas.report.table import columns_of, percent
from hwnas.store import RunStore

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2327; max-width: 1280px; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p { margin: .3rem 0; max-width: 60rem; } .lead { color: #55606a; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid #c3c9cf; } td.number, th.number { text-align: right; white-space: nowrap; }
tbody tr:hover { background: #f3f6f8; } pre { background: #f3f6f8; padding: .8rem; overflow-x: auto; font-size: 13px; }
.facts td:first-child { color: #55606a; white-space: nowrap; } .facts td { overflow-wrap: anywhere; }
"""


_NAMES = {"memory_kb": "memory in kB", "int8_dot": "int8 dot instructions", "onnxruntime": "ONNX Runtime", "cpu": "CPU"}


def page(store: RunStore, objectives: Sequence[Objective]) -> str:
    """The run as HTML; it may be at work still. What an older version did not keep is unknown; StoreError for what is damaged."""
    found = entries(store.rows(), objectives)
    name = store.folder.resolve().name
    sections = [_header(store, name, found)]
    if warning := why_of_no_use(found, objectives):
        sections.append(f'<p class="lead">{escape(warning.capitalize())}.</p>\n')
    if any(entry.on_front for entry in found):
        front = [entry for entry in found if entry.on_front]
        sections += [
            _section(
                "Trade-offs",
                "Each point is a trained model; point at one to see it.",
                _figure("pairs", trade_offs(found, objectives)),
            ),
            _section("The front", "Best validation error first.", _table(front, objectives)),
            _section(
                "Progress",
                "The hypervolume's box is laid around this run's initial networks: it compares generations, not runs.",
                _figure("progress", progress(list(store.events("generation", Summary)), found)),
            ),
            _section("Lineage", "The front and what it was grown from.", _figure("lineage", lineage(found))),
        ]
    sections += [
        _section("Data", "", _facts(_data(store))),
        _section("Device", "", _facts(_device(store))),
        _section("Configuration", "", f"<pre>{escape(json.dumps(json.loads(store.config), indent=2))}</pre>"),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>hwnas: {escape(name)}</title>\n'
        f"<style>{_STYLE}</style>\n<script>{get_plotlyjs()}</script></head>\n<body>\n{''.join(sections)}</body></html>\n"
    )


def _header(store: RunStore, name: str, found: Sequence[Entry]) -> str:
    state = why_ended(store) or "not ended: at work, or interrupted"
    counts = Counter(entry.status for entry in found)
    trained = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.most_common()) or "nothing finished yet"
    front = [entry for entry in found if entry.on_front]
    best = f"; best validation error {percent(front[0].value('error'))}" if front else ""
    data, version = (_text(store.find_meta(fact)) for fact in ("data_name", "hwnas_version"))
    lead = f"{data}: {len(front)} models on the front{best}. {trained}. {state}. hwnas {version}."
    return f'<h1>{escape(name)}</h1><p class="lead">{escape(lead)}</p>\n'


def _section(title: str, explanation: str, content: str) -> str:
    lead = f'<p class="lead">{escape(explanation)}</p>' if explanation else ""
    return f"<h2>{escape(title)}</h2>{lead}\n{content}\n"


def _figure(identity: str, figure: Figure) -> str:
    config = {"responsive": True, "displayModeBar": False}
    text: str = plotly.io.to_html(figure, include_plotlyjs=False, full_html=False, div_id=identity, config=config)
    return text


def _table(front: Sequence[Entry], objectives: Sequence[Objective]) -> str:
    columns = columns_of(front, objectives)
    classes = ['class="number"' if column.number else "" for column in columns]
    heads = "".join(f"<th {kind}>{escape(column.title)}</th>" for column, kind in zip(columns, classes, strict=True))
    rows = ""
    for entry in front:
        cells = (f"<td {kind}>{escape(column.text(entry))}</td>" for column, kind in zip(columns, classes, strict=True))
        rows += f"<tr>{''.join(cells)}</tr>\n"
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _facts(facts: Mapping[str, object]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(_text(fact))}</td></tr>" for name, fact in facts.items())
    return f'<table class="facts">{rows}</table>'


def _text(fact: object) -> str:
    if fact is None:
        return "unknown"
    return ", ".join(map(str, fact)) if isinstance(fact, list | tuple) else str(fact)


def _data(store: RunStore) -> dict[str, object]:
    shape = store.find_meta("shape")
    return {
        "name": store.find_meta("data_name"),
        "images": " x ".join(map(str, shape)) if isinstance(shape, list) else shape,
        "classes": store.find_meta("classes"),
        "fingerprint": store.find_meta("data_fingerprint"),
        "sha256 of the test split": store.find_meta("test_sha256"),
        "images a child is trained on": store.find_meta("images_per_child"),
    }


def _device(store: RunStore) -> dict[str, object]:
    fingerprint, profile = store.find_meta("device_fingerprint"), store.find_meta("profile")
    described = {"profile": profile["description"]} if isinstance(profile, dict) else {}
    errors = {"errors computed": store.find_meta("errors_computed")}
    if not isinstance(fingerprint, dict):
        analytic = store.find_meta("device_fingerprint_sha256") is not None  # then it is the profile's own
        said = "computed from the profile's numbers" if analytic else "no objective and no limit of this run"
        return {**described, "latency": f"{said}: nothing was measured", **errors}
    named = {_NAMES.get(str(name), str(name)): fact for name, fact in fingerprint.items()}
    known = {"fingerprint": store.find_meta("device_fingerprint_sha256")}
    predicted = predictor_error(store)
    return {**described, **named, **known, **({"latency predictor": predicted} if predicted else {}), **errors}
