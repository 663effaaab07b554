"""The page of a run: whole, self-contained, and safe to open."""

import sqlite3
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.errors import StoreError
from hwnas.objectives import objectives_named
from hwnas.report import entries
from hwnas.report.figures import Summary, lineage, progress, trade_offs
from hwnas.report.page import page
from hwnas.store import RunStore
from hwnas.store.database import DATABASE
from tests.conftest import Made
from tests.store.store_samples import finished, initial, weights_of

OBJECTIVES = objectives_named(("error", "parameters"))


class Reader(HTMLParser):
    """Counts tags, and collects what a page would load and what it says outside of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


def test_the_page_says_it_all_and_loads_nothing(tiny_run: Made, tmp_path: Path) -> None:
    run = open_run(tiny_run.folder)
    text = run.report(tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    reader = read(text)
    assert reader.loaded == []
    for entry in run.front():
        assert entry.id in reader.text
    for words in ("digits", "Trade-offs", "Lineage", "images_per_child", "sha256 of the test split", "1 generation is done"):
        assert words in reader.text


def test_figures_hold_every_model(tiny_run: Made) -> None:
    run = open_run(tiny_run.folder)
    rows = run.rows()
    figure = trade_offs(rows, run.objectives)
    finished_rows = [entry for entry in rows if entry.status == "finished"]
    assert len(figure.data) == 2 * 3  # dominated and front, for each pair of three objectives
    assert sum(len(trace.x) for trace in figure.data[:2]) == len(finished_rows)
    with RunStore.open(run.folder, write=False) as store:
        curves = progress(list(store.events("generation", Summary)), rows).data
    assert [list(curve.x) for curve in curves] == [[0, 1]] * 3
    assert curves[1].y[-1] == len(run.front())
    assert curves[2].y[-1] == run.front()[0].value("error")
    lines, _, front = lineage(rows).data
    assert len(front.x) == len(run.front())
    children = [entry for entry in run.front() if entry.row.parent]
    assert len(lines.x) >= 3 * len(children)


def test_a_run_at_work_has_a_page_and_names_are_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run"
    with RunStore.create(folder, config='{"device": "</pre><script>alert(1)</script>"}', meta={"classes": ["<i>cat"]}) as store:
        text = page(store, OBJECTIVES)
        reader = read(text)
        assert "nothing finished yet" in reader.text
        assert "<b>run" in reader.text
        assert "<i>cat" in reader.text
        assert "alert(1)" in reader.text  # as text: no tag was opened
        store.add_candidates([initial(0)])
        data = weights_of(1)
        store.add_outcome(finished("g0-0", data, error=0.0), data)
        assert "g0-0" in read(page(store, OBJECTIVES)).text


@pytest.mark.parametrize(
    ("belongs_to", "said"), [("0123", "computed from the profile's numbers"), (None, "no objective and no limit of this run")]
)
def test_a_run_without_a_device_says_where_its_latencies_are_from(belongs_to: str | None, said: str, tmp_path: Path) -> None:
    facts = {"device_fingerprint": None, "device_fingerprint_sha256": belongs_to}
    with RunStore.create(tmp_path / "run", config="{}", meta=facts) as store:
        assert f"{said}: nothing was measured" in read(page(store, OBJECTIVES)).text


def test_a_finished_run_that_goes_on_has_not_ended(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        for kind, has_ended in (("started", False), ("ended", True), ("started", False), ("ended", True)):
            store.add_event(kind, {"reason": "all is done"})
            assert ("all is done" in read(page(store, OBJECTIVES)).text) == has_ended
            assert ("not ended" in read(page(store, OBJECTIVES)).text) != has_ended


@pytest.mark.parametrize("fact", ["data_name", "shape", "profile"])
def test_a_fact_that_is_damaged_is_not_taken_for_one_that_is_unknown(fact: str, tmp_path: Path) -> None:
    facts = {"data_name": "digits", "shape": [1, 8, 8], "profile": None}
    with RunStore.create(tmp_path / "run", config="{}", meta={k: v for k, v in facts.items() if k != fact}) as store:
        assert "None" not in read(page(store, OBJECTIVES)).text
        store.set_meta(fact, facts[fact])
    with closing(sqlite3.connect(tmp_path / "run" / DATABASE)) as database, database:
        database.execute("UPDATE meta SET value = '[1, 8' WHERE name = ?", (fact,))
    with RunStore.open(tmp_path / "run", write=False) as store, pytest.raises(StoreError, match=f"{fact} is damaged"):
        page(store, OBJECTIVES)


def test_what_is_above_the_largest_error_is_not_called_dominated(tmp_path: Path) -> None:
    bounded = objectives_named(("error", "parameters"), max_error=0.25)
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(slot, generation=0) for slot in range(4)])
        for slot, error in enumerate((0.4, 0.3, 0.25, 0.2)):
            data = weights_of(slot)
            store.add_outcome(finished(f"g0-{slot}", data, error=error), data)
            warned = "No network is within 0.25 validation error" in read(page(store, bounded)).text
            assert warned == (error > 0.25)
        shown = {trace.name: sorted(trace.x) for trace in trade_offs(entries(store.rows(), bounded), bounded).data}
        assert shown == {"validation error above 0.25": [0.3, 0.4], "dominated": [0.25], "front": [0.2]}
        assert [trace.name for trace in trade_offs(entries(store.rows(), OBJECTIVES), OBJECTIVES).data] == ["dominated", "front"]


@pytest.mark.parametrize(("errors", "kind"), [((0.1, 0.2), "log"), ((0.0, 0.2), None)])
def test_an_error_of_zero_does_not_fall_off_the_axis(errors: tuple[float, ...], kind: str | None, tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        for slot, error in enumerate(errors):
            store.add_candidates([initial(slot, generation=slot)])
            data = weights_of(slot)
            store.add_outcome(finished(f"g{slot}-{slot}", data, error=error), data)
        figure = trade_offs(entries(store.rows(), OBJECTIVES), OBJECTIVES)
    assert figure.layout.xaxis.type == kind
