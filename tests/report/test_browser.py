"""The page in a browser: what a reader can do with it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spos.report import render
from spos.report.attachments import CandidateStages
from spos.report.facts import ConstraintFacts, TrainFacts
from spos.report.measure import Measure

from .conftest import make_run

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small finished run."""
    run = make_run(depths=(2, 2), count=120, networks=6, scale=1)
    assert run.result.winner
    # Every candidate has the stages of the network found, which is enough to draw them.
    stages = run.result.winner.stages
    every = ",".join(map(str, range(len(stages))))
    known = CandidateStages(stages, {str(one.architecture): every for one in run.candidates})
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(*run.arguments, stages=known), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Window:
    """The page in a window of its own, and what it did that it should not have."""

    def __init__(self, browser: Any, report: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1000, "height": 900}} | options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.complaints.append(request.url))
        self.page.goto(report.as_uri())
        assert self.complaints.pop() == report.as_uri()
        if options.get("java_script_enabled", True):
            self.page.evaluate("charts.then(() => null)")

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *failure: object) -> None:
        self.context.close()
        if not any(failure):
            assert self.complaints == []


@pytest.fixture(scope="module")
def window(browser: Any, report: Path) -> Window:
    return Window(browser, report)


@pytest.fixture
def phone(browser: Any, report: Path) -> Iterator[Any]:
    """A phone of its own for each test: a page that still glides is no place for the next tap."""
    with Window(browser, report, viewport=PHONE, has_touch=True) as page:
        yield page


@pytest.fixture
def page(window: Window) -> Iterator[Any]:
    """The page in the window that most tests share, as it is at first."""
    shared = window.page
    shared.locator("#filter").fill("")
    shared.locator("#until").fill("2")
    shared.locator("#headings button", has_text="iteration").click()
    shared.locator("#headings button", has_text="rank").click()
    yield shared
    assert window.complaints == []


def dots(page: Any) -> Any:
    """The dots of the candidates."""
    return page.locator(".chart").first.locator(
        "path[aria-roledescription=point][aria-label*=rank]"
    )


def test_every_chart_is_drawn_and_says_what_it_shows(page: Any) -> None:
    assert page.locator(".chart svg").count() == page.locator(".chart").count() == 8
    for label in page.locator(".chart svg > g").evaluate_all(
        "all => all.map(one => one.closest('.chart').dataset.description)"
    ):
        assert len(label) > 40
    # Every candidate is a dot that is named.
    assert dots(page).count() == 120


def test_hovering_shows_what_a_dot_is(page: Any) -> None:
    dots(page).last.hover()
    tooltip = page.locator("#vg-tooltip-element.visible").inner_text()
    for word in ("architecture", "one-shot top-1", "FLOPs", "iteration"):
        assert word in tooltip


def test_a_chart_is_magnified_moved_and_shown_whole_again(page: Any) -> None:
    ticks = "charts.then((views) => views['search-cost0'].scale('x').domain())"
    whole = page.evaluate(ticks)
    tools = page.locator(".tools").first.locator("button")
    tools.nth(0).click()
    near = page.evaluate(ticks)
    assert near[1] - near[0] == pytest.approx((whole[1] - whole[0]) / 1.5)
    box = page.locator(".chart").first.bounding_box()
    page.mouse.move(box["x"] + 400, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + 200, steps=4)
    page.mouse.up()
    assert page.evaluate(ticks)[0] > near[0]
    tools.nth(2).click()
    assert page.evaluate(ticks) == whole


def test_the_table_is_sorted_filtered_and_continued(page: Any) -> None:
    rows, count = page.locator("#rows tr"), page.locator("#count")
    assert rows.count() == 10
    page.locator("#more").click()
    assert rows.count() == 60
    page.locator("#headings button", has_text="FLOPs").click()
    costs = page.locator("#rows td[data-label=FLOPs]").all_inner_texts()
    assert costs == sorted(costs, key=lambda text: float(text[:-1]))
    page.locator("#filter").fill("mutation flops<110K one-shot>75%")
    assert set(page.locator("#rows td[data-label=origin]").all_inner_texts()) == {"mutation"}
    costs = page.locator("#rows td[data-label=FLOPs]").all_inner_texts()
    assert costs and all(float(text[:-1]) <= 110 for text in costs)
    shown = int(count.inner_text().split()[0])
    sync_api.expect(dots(page)).to_have_count(shown)
    page.locator("#filter").fill("no such candidate")
    assert rows.count() == 0 and count.inner_text().startswith("0 of 120")


def test_the_slider_goes_back_to_an_earlier_iteration(page: Any) -> None:
    page.locator("#until").fill("0")
    assert page.locator("#until-value").inner_text() == "0 of 2"
    assert page.locator("#count").inner_text().startswith("50 of 120")
    sync_api.expect(dots(page)).to_have_count(50)
    assert set(page.locator("#rows td[data-label=iteration]").all_inner_texts()) == {"0"}


def test_choosing_a_row_or_a_dot_marks_it_and_draws_its_network(page: Any) -> None:
    marked = "charts.then((views) => views['search-cost0'].data('chosen').map(d => d.rank))"
    row = page.locator("#rows tr").nth(3)
    row.scroll_into_view_if_needed()
    before = row.bounding_box()["y"]
    rank = int(row.locator("td").first.inner_text())
    row.locator("button").press("Enter")
    assert page.evaluate(marked) == [rank]
    assert page.locator("#rows tr.chosen td").first.inner_text() == str(rank)
    # What appears above the row does not move it.
    assert abs(row.bounding_box()["y"] - before) < 2
    assert page.locator("#chosen svg").count() == 7
    shares = page.locator("#chosen .share").all_text_contents()
    assert sum(float(text[:-1]) for text in shares) == pytest.approx(100, abs=0.5)
    # The row of a dot is there, however far down.
    named = dots(page).evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    ranks = [int(re.search(r"rank: (\d+)", label)[1]) for label in named]
    assert max(ranks) > 10 and page.locator("#rows tr").count() == 10
    dots(page).nth(ranks.index(max(ranks))).dispatch_event("click")
    assert page.locator("#rows tr.chosen td").first.inner_text() == str(max(ranks))
    assert page.locator("#rows tr").count() == 11
    page.locator("#filter").fill("iteration<1")
    dots(page).last.click()
    assert page.evaluate(marked) != [rank]
    assert page.locator("#chosen .code").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_follow_the_style_of_the_page(page: Any, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    label = page.locator(".chart .role-axis-label text").first
    soft = page.locator(".soft").first.evaluate("one => getComputedStyle(one).color")
    assert label.evaluate("one => getComputedStyle(one).fill") == soft
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(paper.split("(")[1].split(",")[0]) > 128) == (scheme == "light")


def test_two_fingers_magnify_and_one_scrolls_the_page(phone: Any) -> None:
    extent = "charts.then((views) => views['search-cost0'].scale('x').domain())"
    height = "charts.then((views) => views['search-cost0'].scale('y').domain())"
    phone.locator(".chart").first.scroll_into_view_if_needed()
    box, wide, high = (
        phone.locator(".chart").first.bounding_box(),
        phone.evaluate(extent),
        phone.evaluate(height),
    )
    x, y = box["x"] + 200, box["y"] + 150
    touch = phone.context.new_cdp_session(phone)

    def move(*places: list[tuple[float, float]]) -> None:
        kinds = ["touchStart", *["touchMove"] * (len(places) - 1), "touchEnd"]
        for kind, points in zip(kinds, (*places, []), strict=True):
            named = [{"x": a, "y": b, "id": n} for n, (a, b) in enumerate(points)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": named})

    move(*([(x - apart, y), (x + apart, y)] for apart in (30, 45, 60)))
    near = phone.evaluate(extent)
    assert near[1] - near[0] == pytest.approx((wide[1] - wide[0]) / 2)
    phone.locator(".tools button").nth(2).click()
    before = phone.evaluate("scrollY")
    move(*([(x, y - moved)] for moved in (0, 10, 40, 100)))
    assert phone.evaluate(height) == high and phone.evaluate(extent) == wide
    phone.wait_for_timeout(100)
    assert phone.evaluate("scrollY") > before


def test_a_phone_shows_every_column_and_a_tap_what_a_dot_is(phone: Any) -> None:
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    outside = phone.evaluate(
        """[...document.querySelectorAll('main *')].filter(one =>
             !one.closest('svg, noscript, details') && one.getClientRects().length
             && one.getBoundingClientRect().right > 390).map(one => one.outerHTML)"""
    )
    assert outside == []
    scrolled = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).length"
    assert phone.locator(".scroll").evaluate_all(scrolled) == 0
    dots(phone).last.tap()
    tooltip = phone.locator("#vg-tooltip-element.visible")
    assert "architecture" in tooltip.inner_text()
    box = tooltip.bounding_box()
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
    phone.locator("#sort").select_option("iteration")
    assert phone.locator("#rows td[data-label=iteration]").first.inner_text() == "0"


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose table of candidates has many columns with long headings."""
    run = make_run(depths=(4, 4, 4), count=40, networks=2, scale=1)
    candidates = [
        replace(one, score=one.score - 2, costs={**one.costs, "latency": 1_234_000})
        for one in run.candidates
    ]
    winner = run.result.winner
    assert winner
    run = run.change(
        fitness=Measure("loss with NASWOT", share=False, negated=True),
        winner=replace(winner, score=-1.25, costs={**winner.costs, "latency": 1_234_000}),
        top=tuple(replace(one, metric_score=0.5) for one in candidates[:10]),
        comparison=None,
        constraint=ConstraintFacts(maximum={"latency": 2_000_000}),
        primary_cost="latency",
    )
    path = tmp_path_factory.mktemp("crowded") / "report.html"
    path.write_text(render(run.result, candidates, run.metrics), encoding="utf-8")
    return path


def test_all_columns_of_a_wide_table_are_in_sight(browser: Any, crowded: Path) -> None:
    with Window(browser, crowded, viewport={"width": 1100, "height": 900}) as page:
        assert page.locator("#headings th").count() == 9
        overflow = "all => all.map(one => one.scrollWidth - one.clientWidth)"
        assert set(page.locator(".scroll").evaluate_all(overflow)) == {0}
        # A label of two lines moves no value.
        values = page.locator(".figures dd")
        assert len({values.nth(place).bounding_box()["y"] for place in range(6)}) == 1


def test_a_phone_breaks_no_number(browser: Any, crowded: Path) -> None:
    lines = """all => all.map(one => {
        const range = document.createRange();
        range.selectNodeContents(one);
        return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size;
    })"""
    with Window(browser, crowded, viewport=PHONE) as page:
        cells = page.locator("#rows td:not(.text), .figures dd")
        assert cells.count() > 70
        assert set(cells.evaluate_all(lines)) == {1}
        assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [320, 360, 375])
def test_the_smallest_phones_show_every_column(browser: Any, tmp_path: Path, width: int) -> None:
    run = make_run(depths=(2, 2), count=20, networks=2, scale=1)
    seconds = {name: 7 * spent for name, spent in run.result.seconds.items()}
    run = run.change(seconds=seconds, planning=100.0, train=TrainFacts(3000, reused=True))
    run.metrics.append({"stage": "train", "step": 1, "peak_memory": 512 << 20})
    path = tmp_path / "report.html"
    path.write_text(render(*run.arguments), encoding="utf-8")
    with Window(browser, path, viewport={"width": width, "height": 700}) as page:
        assert page.locator(".resources", has_text="peak memory").count() == 1
        overflow = "all => all.map(one => one.scrollWidth - one.clientWidth)"
        assert set(page.locator(".scroll").evaluate_all(overflow)) == {0}
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_without_scripts_the_tables_are_there(browser: Any, report: Path) -> None:
    with Window(browser, report, java_script_enabled=False) as page:
        assert page.locator("#rows tr").count() == 10
        assert page.locator("#controls").is_hidden() and page.locator("#more").is_hidden()
        assert all(one.is_visible() for one in page.locator("noscript").all())
