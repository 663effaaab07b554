"""The page of a run in a real chromium: choosing, filtering, reading, switching, and nothing asked of the network."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas.api import Run, compare, open_run
from hwnas.candidate import Failure, Outcome
from hwnas.objective import Objective
from hwnas.objectives import objectives_named
from hwnas.report.architecture import layers_of
from hwnas.report.page import page as page_of
from hwnas.store import RunStore, content_hash
from hwnas.store.campaigns import CampaignFigures, CurveFigures, Interval, LayerDrop, SingleFigures, write_figures
from tests.conftest import Made
from tests.graphs import SAMPLES
from tests.report.large_store import large_store
from tests.store.store_samples import child, finished, initial, weights_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no chromium: apt-get install chromium", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> \u202eabc"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a page and waits for a network to be chosen; in the end nothing was asked for and nothing went wrong in any."""
    asked: list[str] = []
    wrong: list[str] = []
    contexts = []

    def opened(path: Path, address: str = "", *, width: int = 1400, scheme: str = "light", waits_for: str = "#chosen h2") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(90_000)
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.goto(path.as_uri() + address)
        shown.wait_for_selector(waits_for)
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert wrong == []


@pytest.fixture(scope="module")
def run(tiny_run: Made) -> Run:
    return open_run(tiny_run.folder)


@pytest.fixture(scope="module")
def real_page(run: Run, open_page: Open, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One page of a real search that the tests below share; each chooses and filters for itself."""
    return open_page(run.report(tmp_path_factory.mktemp("real") / "page.html"))


@pytest.fixture(scope="module")
def made_page(open_page: Open, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A page of a made-up run: a residual network and its child, hostile names, a fault campaign; the child by its address."""
    folder = tmp_path_factory.mktemp("made") / "run"
    with RunStore.create(folder, config="{}", meta={"classes": [HOSTILE], "data_name": HOSTILE}) as store:
        parent = initial(0, "residual")
        store.add_candidates([parent, child(parent, 1, 0)])
        for candidate_id, error in (("g0-0", 0.25), ("g1-0", 0.2)):
            data = weights_of(1)
            store.add_outcome(finished(candidate_id, data, error=error), data)
        for campaign in campaigns("g0-0"):
            write_figures(folder, campaign)
        made = folder.parent / "page.html"
        made.write_text(page_of(store, objectives_named(("error", "parameters"))), encoding="utf-8")
    return open_page(made, "#g0-0")


def campaigns(model: str) -> list[CampaignFigures]:
    drop = Interval(value=1.5, low=1.0, high=2.0)
    share = Interval(value=0.2, low=0.1, high=0.35)
    layers = (
        LayerDrop(layer="2 conv", bits=99, drop=drop),
        LayerDrop(layer=HOSTILE, bits=99, drop=drop, expected=0.04, changed=share),
        LayerDrop(layer="5 conv", bits=99, drop=drop, expected=0.96),
    )
    single = SingleFigures(faults=77, bits=640, drop=drop, critical=drop, device_drop=drop, layers=layers)
    accuracies = tuple(Interval(value=each, low=each - 0.1, high=each + 0.1) for each in (0.8, 0.3))
    curve = CurveFigures(bers=(1e-5, 1e-3), accuracies=accuracies, clean=0.9, chance=0.1, trials=10)
    common: dict[str, Any] = {"model": model, "dtype": "float32", "target": "weights", "seed": 0, "clean_error": 0.1}
    return [CampaignFigures(**common, fault="single", single=single), CampaignFigures(**common, fault="ber", curve=curve)]


def chosen(page: Any) -> str:
    """The id that heads the details."""
    return str(page.inner_text("#chosen h2").split()[0])


def test_a_click_on_a_point_chooses_its_network_and_its_address_is_shared(real_page: Any, run: Run) -> None:
    front = [entry.id for entry in run.front()]
    for point in real_page.query_selector_all("#trade-offs .trace.scatter .point")[-3:-1]:
        box = point.bounding_box()
        real_page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        near = real_page.evaluate(
            """([x, y]) => { const plot = byId("trade-offs"), at = plot.getBoundingClientRect(), layout = plot._fullLayout;
            return networks.filter((n) => Math.hypot(layout.xaxis.d2p(n.values[state.across]) + layout._size.l + at.x - x,
              layout.yaxis.d2p(n.values[state.up]) + layout._size.t + at.y - y) < 6).map((n) => n.id); }""",
            [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
        )
        assert chosen(real_page) in near
        assert real_page.url.endswith(f"#{chosen(real_page)}")
    assert chosen(real_page) in front


def test_networks_are_chosen_with_the_keyboard_alone(real_page: Any, run: Run) -> None:
    first, second, *_ = (entry.id for entry in run.front())
    real_page.focus("#front tbody tr:first-child a")
    real_page.keyboard.press("Enter")
    assert chosen(real_page) == first
    real_page.keyboard.press("ArrowDown")
    assert chosen(real_page) == second
    real_page.focus("#trade-offs")
    seen = {chosen(real_page)}
    for _ in range(len(run.front())):
        real_page.keyboard.press("ArrowRight")
        seen.add(chosen(real_page))
    assert seen == {entry.id for entry in run.front()}
    assert chosen(real_page) == second  # once around
    real_page.go_back()
    assert chosen(real_page) != second


def test_a_limit_filters_the_table_and_the_plot_and_goes_again(real_page: Any, run: Run) -> None:
    sizes = sorted(entry.value("parameters") or 0 for entry in run.front())
    most = sizes[len(sizes) // 2]
    rows = "#front tbody tr:visible"
    points = "#trade-offs .trace.scatter .point"
    before = real_page.locator(points).count()
    real_page.fill("#limits input[name=parameters]", str(most))
    real_page.keyboard.press("Tab")
    assert real_page.locator(rows).count() == sum(size <= most for size in sizes) < len(sizes)
    assert f"of {len(sizes)} networks of the front are left" in real_page.inner_text("#left")
    assert real_page.locator(points).count() < before
    real_page.click("#limits button")
    assert real_page.locator(rows).count() == len(sizes)
    assert real_page.locator(points).count() == before


def test_what_is_brushed_along_an_axis_filters_too(real_page: Any, run: Run) -> None:
    real_page.locator("#parallel").scroll_into_view_if_needed()
    axis = real_page.wait_for_selector("#parallel .axis-brush .background")
    box = axis.bounding_box()
    x = box["x"] + box["width"] / 2
    real_page.mouse.move(x, box["y"] + box["height"] * 0.98)
    real_page.mouse.down()
    real_page.mouse.move(x, box["y"] + box["height"] * 0.8, steps=4)
    real_page.mouse.move(x, box["y"] + box["height"] * 0.6, steps=4)
    real_page.mouse.up()
    real_page.wait_for_function("""() => byId("left").textContent !== "" """)
    low, high = real_page.evaluate("state.within.error[0]")
    expected = {entry.id for entry in run.front() if low <= (entry.value("error") or 0) <= high}
    shown = real_page.eval_on_selector_all("#front tbody tr", "rows => rows.filter(r => !r.hidden).map(r => r.dataset.id)")
    assert set(shown) == expected
    assert len(expected) < len(run.front())
    assert float(real_page.input_value("#limits input[name=error]")) == pytest.approx(100 * high, rel=1e-3)
    real_page.click("#limits button")
    assert real_page.evaluate("state.within") == {}


def test_the_table_is_sorted_by_what_is_asked_for(real_page: Any, run: Run) -> None:
    heads = real_page.locator("#front thead button")
    column = heads.all_inner_texts().index("parameters")
    for order in ("ascending", "descending"):
        heads.nth(column).click()
        texts = real_page.locator(f"#front tbody td:nth-child({column + 1})").all_inner_texts()
        sizes = [int(text.replace(",", "")) for text in texts]
        assert sizes == sorted(sizes, reverse=order == "descending")
        assert real_page.locator(f"#front thead th:nth-child({column + 1})").get_attribute("aria-sort") == order


def test_the_theme_is_switched_and_everything_follows(real_page: Any) -> None:
    def look() -> tuple[str, str]:
        return real_page.evaluate("getComputedStyle(document.body).backgroundColor"), real_page.evaluate(
            "getComputedStyle(document.querySelector('#trade-offs .xtick text')).fill"
        )

    before = look()
    real_page.click("#theme")
    after = look()
    assert before[0] != after[0]
    assert before[1] != after[1]
    real_page.click("#theme")
    assert look() == before


def test_other_axes_are_chosen(real_page: Any) -> None:
    real_page.select_option("#across", "macs")
    assert real_page.text_content("#trade-offs .xtitle") == "MACs"
    real_page.select_option("#across", "parameters")


def test_the_drawing_says_every_layer_its_shape_its_cost_and_what_it_skips(made_page: Any) -> None:
    layers = layers_of(SAMPLES["residual"]())
    rows = made_page.locator("#chosen .layers tbody tr")
    assert rows.count() == len(layers)
    for row, layer in zip(rows.all(), layers, strict=True):
        words = row.inner_text()
        assert layer.text.split(" + ")[0] in words
        assert "×".join(map(str, layer.shape)) in words
        if layer.macs:
            assert f"{layer.macs:,}" in words
            assert f"{layer.parameters:,}" in words
    made_page.wait_for_selector("#chosen .drawing svg circle")
    skips = sum(read != place - 1 for place, layer in enumerate(layers) for read in layer.reads)
    assert skips > 0
    assert made_page.locator("#chosen .drawing svg path.skip").count() == skips
    assert "reads 2 and 4" in made_page.inner_text("#chosen .layers")


def test_a_campaign_is_shown_with_its_network_and_among_all(made_page: Any) -> None:
    words = made_page.inner_text("#chosen")
    assert "costs 1.5 points on average (1 to 2), of 77 faults tried" in words
    rows = made_page.locator("#chosen table:has-text('share of expected change') tbody tr").all_inner_texts()
    assert [re.split(r"\s*\t\s*", row)[1:] for row in rows] == [["96 %", "none changed"], ["4 %", "20 % (10 % to 35 %)"]]
    made_page.wait_for_selector("#chosen .plot .scatterlayer")
    made_page.locator("#faults-table").scroll_into_view_if_needed()
    made_page.wait_for_selector("#faults .scatterlayer")
    assert "1.5 (1 to 2)" in made_page.inner_text("#faults-table")
    assert made_page.locator("#faults-table a").get_attribute("href") == "#g0-0"


def test_a_child_says_what_it_won_and_leads_to_its_parent(made_page: Any) -> None:
    made_page.click("#chosen p a:has-text('g1-0')")
    assert chosen(made_page) == "g1-0"
    assert "▼ validation error −5.0 points" in made_page.inner_text("#chosen .lineage")
    made_page.click("#chosen .lineage a:has-text('g0-0')")
    assert chosen(made_page) == "g0-0"


def test_names_of_classes_are_shown_and_never_executed(made_page: Any) -> None:
    assert made_page.title().startswith("hwnas: ")
    assert made_page.locator("img").count() == 0
    cells = made_page.locator("td bdi", has_text="onerror")
    assert cells.count() >= 2
    assert re.sub(r"\s+", " ", cells.first.inner_text()) == re.sub(r"\s+", " ", HOSTILE)


@pytest.mark.slow
def test_runs_with_nothing_one_network_and_fifty_objectives_have_a_page(open_page: Open, tmp_path: Path) -> None:
    objectives = (
        *objectives_named(("error", "parameters")),
        *(Objective(name=f"own_{n}", log_scale=n % 2 == 0) for n in range(48)),
    )
    path = tmp_path / "page.html"
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(slot) for slot in range(3)])
        failure = Failure(kind="diverged", message=HOSTILE)
        store.add_outcome(Outcome(candidate_id="g0-0", status="failed", failure=failure), None)
        path.write_text(page_of(store, objectives), encoding="utf-8")
        assert "1 failed" in open_page(path, waits_for="h1").inner_text("body")
        for slot in (1, 2):
            data = weights_of(1)
            values = {"error": 0.1 * slot, "parameters": 330.0 / slot} | {f"own_{n}": float(n % 3) for n in range(48)}
            weights = content_hash(data)
            store.add_outcome(Outcome(candidate_id=f"g0-{slot}", status="finished", values=values, weights=weights), data)
            path.write_text(page_of(store, objectives), encoding="utf-8")
            shown = open_page(path, "#g0-0", width=390)
            assert HOSTILE.split("\u202e")[0].strip() in shown.inner_text("#chosen .warning")
            assert shown.evaluate("document.documentElement.scrollWidth") <= 390
            shown.focus("#trade-offs")
            shown.keyboard.press("ArrowRight")
            assert chosen(shown) in ("g0-1", "g0-2")


def test_a_phone_shows_everything_within_its_width(run: Run, open_page: Open, tmp_path: Path) -> None:
    phone = open_page(run.report(tmp_path / "page.html"), width=390, scheme="dark")
    assert phone.evaluate("document.documentElement.dataset.theme") == "dark"
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.locator("#chosen .layers").bounding_box()["width"] <= 390


def test_a_page_that_loads_itself_again_keeps_what_its_reader_set(run: Run, open_page: Open, tmp_path: Path) -> None:
    with RunStore.open(run.folder, write=False) as store:
        (tmp_path / "page.html").write_text(page_of(store, run.objectives, refresh_s=600), encoding="utf-8")
    shown = open_page(tmp_path / "page.html")
    shown.select_option("#across", "macs")
    shown.fill("#limits input[name=error]", "50")
    shown.keyboard.press("Tab")
    shown.click("#front tbody tr:visible td:last-child")
    before = chosen(shown), shown.locator("#front tbody tr:visible").count()
    assert before[1] < len(run.front())
    shown.reload()
    shown.wait_for_selector("#chosen h2")
    assert (chosen(shown), shown.locator("#front tbody tr:visible").count()) == before
    assert shown.input_value("#across") == "macs"
    assert shown.input_value("#limits input[name=error]") == "50"


def test_a_comparison_draws_every_front_and_hides_one_by_its_name(run: Run, open_page: Open, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "twin")
    both = open_page(compare([run.folder, tmp_path / "twin"], tmp_path / "page.html"), waits_for="#fronts .main-svg")
    assert both.locator("#fronts .trace.scatter .point").count() == 2 * len(run.front())
    both.select_option("#up", "macs")
    assert both.text_content("#fronts .ytitle") == "MACs"
    assert "twin" in both.inner_text("table.figures >> nth=0")
    both.locator("#fronts .legendtoggle").first.click()
    both.wait_for_function(
        "count => document.querySelectorAll('#fronts .trace.scatter .point').length === count", arg=len(run.front())
    )
    both.set_viewport_size({"width": 390, "height": 800})
    assert both.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_thousands_of_networks_are_there_within_seconds(open_page: Open, tmp_path: Path) -> None:
    large_store(tmp_path / "run", 2_000)
    with RunStore.open(tmp_path / "run", write=False) as store:
        text = page_of(store, objectives_named(("error", "parameters", "latency_ms", "expected_change")))
    (tmp_path / "page.html").write_text(text, encoding="utf-8")
    large = open_page(tmp_path / "page.html")
    session = large.context.new_cdp_session(large)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # of this page's own thread: others may be at work
    large.reload()
    large.wait_for_selector("#chosen h2")
    spent = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    assert spent["ThreadTime"] < 8  # two loads; one takes 1.9 s where it was written, beside a benchmark
    before = chosen(large)
    large.focus("#trade-offs")
    large.keyboard.press("ArrowRight")
    assert chosen(large) != before
    assert len(json.loads(large.evaluate("JSON.stringify(networks.map(n => n.id))"))) == 2_000


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (0.1, 5000.0, [0.1, 1, 10, 100, 1000]),
        (0.9, 20.0, [1, 2, 5, 10, 20]),
        (0.105, 0.164, [0.12, 0.14, 0.16]),
        (61_338.0, 63_066.0, [61_500, 62_000, 62_500, 63_000]),
        (3.0, 3.0, [3]),
    ],
)
def test_a_logarithmic_axis_is_marked_at_round_values_however_narrow(
    made_page: Any, low: float, high: float, marks: list[float]
) -> None:
    assert made_page.evaluate("([low, high]) => logTicks([low, high])", [low, high]) == pytest.approx(marks)


def test_what_was_not_yet_in_sight_is_printed_too(run: Run, open_page: Open, tmp_path: Path) -> None:
    page = open_page(run.report(tmp_path / "page.html"))
    assert not page.query_selector("#hypervolume .trace")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_selector("#hypervolume .trace")
