"""The report page: complete, self-contained, safe, also for a run that is not finished."""

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omnitrain.api import (
    Evaluation,
    Figure,
    Heatmap,
    ImageGrid,
    Metric,
    Picture,
    Piece,
    Sample,
    Scatter,
    Table,
    Text,
)
from omnitrain.errors import EnvironmentFault
from omnitrain.recipes import load_recipe
from omnitrain.report import summarise, write_report
from omnitrain.report.curves import MOST_POINTS, chart, make_axis, round_ticks, thinned
from omnitrain.report.numbers import number
from omnitrain.runs import Display, RunDirectory, StageRecord, StageRun, StopRequest

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
PIXELS = np.zeros((2, 2), np.uint8)
CONTROL = "a\x00b\x08c\x1bd\x7fe\ud800f\ufffeg"
VOID = {"meta", "br", "img", "link", "hr", "line", "polyline"}


class _Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunDirectory]:
    """A claimed run of the toy recipe in which no stage has run."""
    found = RunDirectory(tmp_path / "a <b> run")
    found.create()
    found.claim(load_recipe("toy/tiny", ["train.fit.steps=7"]))
    yield found
    found.close()


Stage = Callable[..., StageRun]


@pytest.fixture
def stage(folder: RunDirectory) -> Iterator[Stage]:
    """Give stages of the run, by default "train", that log and report."""
    given: list[StageRun] = []

    def stage(name: str = "train") -> StageRun:
        stop = StopRequest()
        builder: Any = None
        run = StageRun(name, folder, 0, folder.root, builder, stop, Display(stop.raise_if_asked, quiet=True))
        run.directory.mkdir(exist_ok=True)
        given.append(run)
        return run

    yield stage
    for run in given:
        run.__exit__()


def _page(folder: RunDirectory) -> _Page:
    return _Page(write_report(folder).read_text(encoding="utf-8"))


def test_page_of_a_run_that_has_not_begun(folder: RunDirectory) -> None:
    page = _page(folder)
    assert "unfinished" in page.text
    assert "waiting" in page.text
    assert "Fit a line, then measure it." in page.text


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="not a run directory"):
        write_report(RunDirectory(tmp_path))


def test_settings_are_shown_with_their_origins(folder: RunDirectory) -> None:
    text = write_report(folder).read_text()
    row = re.search(r"<tr><td class=\"mono\">train\.fit\.steps</td>.*?</tr>", text)
    assert row is not None
    assert ">7<" in row[0]
    assert "command line: train.fit.steps=7" in row[0]
    assert "train.fit.optimiser.name" in text.partition("<details>")[2]


def test_metrics_become_curves_of_each_stage(folder: RunDirectory, stage: Stage) -> None:
    run = stage()
    for step in range(1, 6):
        run.log(step, {"loss": 5.0 / step, "learning_rate": 0.1})
    run.log(5, {"loss": 1.5}, split="valid")
    page = _page(folder)
    headings = re.findall(r"<h3 class=\"name\">(.*?)</h3>", write_report(folder).read_text())
    assert headings == ["loss", "learning rate"]
    assert sum(tag == "polyline" for tag, _ in page.tags) == 2
    assert "train: 5 at 1" in page.text
    assert "valid: 1.5 at 5" in page.text


def test_evaluation_is_shown_with_everything_it_holds(folder: RunDirectory, stage: Stage) -> None:
    evaluation = Evaluation(
        metrics={"error": Metric(0.25, 1200, "lower", (0.2, 0.3), "m")},
        tables={"rows": Table(["name", "n"], [["first", 1], ["second", 2.5]], "A caption")},
        samples={"outputs": [Sample({"prompt": "once", "output": "upon\n  a time"})]},
        figures={
            "calibration": Figure({"a": [(0, 0), (1, 1)], "b": [(0, 1), (1, 0)]}, "confidence", "accuracy", "Good."),
            "dot": Picture(b"\x89PNG", "image/png", "A dot"),
            "film": Picture(b"0", "video/mp4"),
        },
    )
    stage("measure").report("toy/error", evaluation)
    page = _page(folder)
    for text in ("0.25 m", "0.2 to 0.3", "1\u2009200", "lower is better", "A caption", "upon\n  a time", "confidence", "Good."):
        assert text in page.text, text
    sources = [str(attributes["src"]) for tag, attributes in page.tags if tag in ("img", "video")]
    assert [source.partition(";")[0] for source in sources] == ["data:image/png", "data:video/mp4"]


def test_newest_evaluation_of_a_name_is_the_one_shown(folder: RunDirectory, stage: Stage) -> None:
    run = stage()
    for step, text in ((5, "first draft"), (10, "final text")):
        run.report("toy/error", Evaluation(samples={"outputs": [Sample({"output": text})]}), step)
    page = _page(folder)
    assert "final text" in page.text
    assert "first draft" not in page.text


def test_everything_is_escaped_and_nothing_is_requested(folder: RunDirectory, stage: Stage) -> None:
    run = stage()
    evaluation = Evaluation(
        metrics={EVIL: Metric(1.0, 1, "none", None, EVIL)},
        tables={EVIL: Table([EVIL], [[EVIL]], EVIL)},
        samples={EVIL: [Sample({EVIL: EVIL})]},
        figures={
            EVIL: Figure({EVIL: [(0, 0), (1, 1)], "b": []}, EVIL, EVIL, EVIL),
            "picture" + EVIL: Picture(f"<svg xmlns='http://www.w3.org/2000/svg'>{EVIL}</svg>", caption=EVIL),
            "map" + EVIL: Heatmap([EVIL], [EVIL], {EVIL: [[1.0]], "b": [[0.0]]}, EVIL, EVIL, EVIL, caption=EVIL),
            "points" + EVIL: Scatter({EVIL: [(0, 0), (1, 1)]}, EVIL, EVIL, EVIL, {EVIL: [EVIL, EVIL]}),
            "text" + EVIL: Text([[Piece(EVIL, "loss", 0.5), Piece(EVIL)]], EVIL, {"loss": EVIL}, EVIL),
            "images" + EVIL: ImageGrid([PIXELS], [EVIL], 1, [EVIL], EVIL),
        },
    )
    run.report("toy/error", evaluation, 3)
    run.log(1, {EVIL: 1.0}, split=EVIL)
    run.log(2, {EVIL: 2.0}, split=EVIL)
    run.event("strange", note=EVIL)
    page = _page(folder)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    addresses = [str(v) for _, a in page.tags for k, v in a.items() if k in ("src", "href", "data", "srcset")]
    assert all(address.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,", "#")) for address in addresses)
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")
    assert EVIL in page.text


def test_characters_that_no_document_may_hold_are_replaced_everywhere(folder: RunDirectory, stage: Stage) -> None:
    run = stage()
    evaluation = Evaluation(
        metrics={CONTROL: Metric(1.0, 1, "none", None, CONTROL)},
        tables={CONTROL: Table([CONTROL], [[CONTROL]], CONTROL)},
        samples={CONTROL: [Sample({CONTROL: CONTROL})]},
        figures={
            "map": Heatmap([CONTROL], [CONTROL], [[1.0]], CONTROL, CONTROL, CONTROL, caption=CONTROL),
            "points": Scatter({CONTROL: [(0, 0)], "b": [(1, 1)]}, CONTROL, CONTROL, CONTROL, {CONTROL: [CONTROL]}),
            "curve": Figure({CONTROL: [(0, 0), (1, 1)], "b": []}, CONTROL, CONTROL, CONTROL),
            "text": Text([[Piece(CONTROL, "mask", 1.0)]], CONTROL, {"mask": CONTROL}),
            "images": ImageGrid([PIXELS], [CONTROL], 1, [CONTROL], CONTROL),
        },
    )
    run.report("toy/error", evaluation)
    text = write_report(folder).read_text(encoding="utf-8")
    assert "a\ufffdb\ufffdc\ufffdd\ufffde?f\ufffdg" in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]", text)


def test_results_come_first_with_pictures_before_numbers_and_many_metrics_are_folded(
    folder: RunDirectory, stage: Stage
) -> None:
    stage().report("valid", Evaluation({"loss": Metric(0.5, 10)}), 4)
    many = {f"metric {i}": Metric(i / 3, 9, "higher", (0.0, 1.0)) for i in range(140)}
    drawn = Evaluation(many, {"rows": Table(["a", "a"], [[1, 2]])}, figures={"map": Heatmap((), (), [[1.0]])})
    stage("measure").report("toy/error", drawn)
    text = write_report(folder).read_text(encoding="utf-8")
    results = text.partition('<h2 id="results">')[2].partition('<section id="stage-')[0]
    order = [
        "toy/error <span",
        '<svg class="heat"',
        '<h4 class="above">rows',
        "<summary>140 metrics of toy/error",
        "valid <span",
    ]
    places = [results.index(piece) for piece in order]
    assert places == sorted(places)
    assert results.count("<details>") == 1
    assert "<details open" not in text


def test_headings_are_in_order_and_what_scrolls_can_be_reached_by_keyboard(folder: RunDirectory, stage: Stage) -> None:
    run = stage()
    for step in (1, 2):
        run.log(step, {"loss": 1.0 / step})
    run.event("strange")
    found = Evaluation(
        {"m": Metric(1.0, 2)}, {"rows": Table(["a"], [[1]])}, {"s": [Sample({"x": "y"})]}, {"map": Heatmap((), (), [[1.0]])}
    )
    stage("measure").report("toy/error", found)
    page = _page(folder)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    scrolled = [attributes for _, attributes in page.tags if "scroll" in str(attributes.get("class", "")).split()]
    assert len(scrolled) >= 6
    assert all(a["tabindex"] == "0" and a["role"] == "region" and a["aria-label"] for a in scrolled)
    assert all(a.get("aria-label") for tag, a in page.tags if tag == "svg")
    assert all("alt" in a for tag, a in page.tags if tag == "img")


def test_unknown_kinds_of_pictures_are_left_out(folder: RunDirectory, stage: Stage) -> None:
    stage().report("toy/error", Evaluation(figures={"page": Picture("<b>hi</b>", "text/html")}))
    assert "text/html" not in write_report(folder).read_text()


def test_damaged_evaluation_does_not_stop_the_page(folder: RunDirectory, stage: Stage) -> None:
    place = stage().directory / "evaluations"
    place.mkdir()
    (place / "bad.json").write_text("{")
    assert "unfinished" in _page(folder).text


def test_events_are_shown(folder: RunDirectory, stage: Stage) -> None:
    run = stage()
    run.event("skipped update", step=12, reason="loss is not finite")
    assert "step 12, reason loss is not finite" in _page(folder).text


def test_summary_tells_stages_and_last_metrics(folder: RunDirectory, stage: Stage) -> None:
    folder.write_stage("train", StageRecord("finished", "x", seconds=2.5))
    folder.write_stage("measure", StageRecord("running", "y"))
    run = stage()
    for step, loss in ((1, 3.0), (2, math.nan)):
        run.log(step, {"loss": loss})
    found = summarise(folder)
    assert [(s["name"], s["status"]) for s in found["stages"]] == [("train", "finished"), ("measure", "unfinished")]
    assert found["status"] == "unfinished"
    assert math.isnan(found["stages"][0]["metrics"]["train/loss"])
    folder.write_stage("measure", StageRecord("finished", "y"))
    assert summarise(folder)["status"] == "finished"


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(1.0, 2.0)],
        [(1.0, 2.0), (2.0, 2.0)],
        [(1.0, math.nan), (2.0, math.inf)],
        [(0.0, 1e300), (1.0, -1e300)],
        [(0.0, 1e-300), (1.0, 2e-300)],
    ],
)
def test_charts_of_few_or_odd_points_are_well_formed(points: list[tuple[float, float]]) -> None:
    drawn = str(chart({"a": points}, "step", "loss"))
    ElementTree.fromstring(drawn)
    assert "nan" not in drawn.lower().replace("no finite values", "")


def test_value_that_is_not_finite_is_a_gap() -> None:
    points = [(float(i), math.nan if i == 3 else 1.0 * i) for i in range(7)]
    assert str(chart({"a": points}, "step", "loss")).count("<polyline") == 2


_numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.tuples(_numbers, _numbers), max_size=8), max_size=8))
def test_any_series_can_be_drawn(series: dict[str, list[tuple[float, float]]]) -> None:
    ElementTree.fromstring(str(chart(series, "x", "y")))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@example(low=879609.5156249999, width=1.0002404451370267e-06)
def test_ticks_enclose_the_range_and_are_few(low: float, width: float) -> None:
    high = low + width
    ticks = round_ticks(low, high, 5)
    # A narrow range far from zero is only as exact as the floats around it.
    slack = 1e-6 * width + 2 * math.ulp(max(abs(low), abs(high)))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 12


@given(st.lists(st.floats(-1e9, 1e9), max_size=20))
def test_every_value_lies_on_its_axis(values: list[float]) -> None:
    axis = make_axis(values, 10.0, 110.0, 4)
    assert all(9.99 <= axis.place(v) <= 110.01 for v in values)


def test_thinned_series_keeps_spikes_and_gaps() -> None:
    points = [(float(i), 1.0) for i in range(20_000)]
    points[7777] = (7777.0, 50.0)
    points[9999] = (9999.0, math.nan)
    kept = thinned(points)
    assert len(kept) <= 2 * MOST_POINTS
    assert (7777.0, 50.0) in kept
    assert any(math.isnan(y) for _, y in kept)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (4.9599, "4.960"),
        (0.25, "0.25"),
        (1234567, "1\u2009234\u2009567"),
        (1.23456e-7, "1.235e\u22127"),
        (-3.5, "\u22123.5"),
        (math.nan, "NaN"),
        (-math.inf, "\u2212\u221e"),
        (999999.9, "1000000"),
        (None, ""),
        (True, "true"),
        ("text", "text"),
    ],
)
def test_numbers_are_written_for_people(value: Any, text: str) -> None:
    assert number(value) == text


def test_page_is_replaced_as_a_whole(folder: RunDirectory) -> None:
    path = write_report(folder)
    path.write_text("old")
    assert write_report(folder) == path
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in folder.root.iterdir() if p.name.startswith(".tmp")] == []
    assert json.loads((folder.root / "run.json").read_text())["address"] == "toy/tiny"
