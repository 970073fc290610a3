"""Figures of evaluations: stored as plain files, drawn as valid documents, also for odd and for large inputs."""

import json
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.api import Drawn, Evaluation, Figure, Heatmap, ImageGrid, Metric, Picture, Piece, Scatter, Table, Text
from omnitrain.errors import EnvironmentFault
from omnitrain.report.drawing import Chart, figures
from omnitrain.report.palettes import Scale, colours, palette_css
from omnitrain.runs.evaluations import image_type, plain_evaluation, read_evaluation, read_media, write_evaluation
from omnitrain.runs.png import indexed_png, png

JPEG = b"\xff\xd8\xff\xe0rest of a file"
LETTERS = re.compile(r">([^<>]+)</text>")


def _draw(tmp_path: Path, figure: Drawn) -> Chart:
    """Store a figure, read it again and draw it."""
    write_evaluation(tmp_path, "toy/error", None, Evaluation(figures={"drawn": figure}))
    (found,) = figures(read_evaluation(tmp_path / "toy-error.json"), tmp_path)
    return found


def _xml(chart: Chart) -> ElementTree.Element:
    """Parse a drawing, its legend and its caption as one document."""
    void = re.sub(r"(<(?:img|br)\b[^>]*?)/?>", r"\1/>", f"{chart.drawing}{chart.legend}")
    return ElementTree.fromstring(f"<div>{void.replace('<video controls', '<video')}</div>")


def _decoded(content: bytes) -> tuple[int, int, int, bytes]:
    """Return width, height, colour type and rows of a PNG, after checking its sums."""
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, {}
    while place < len(content):
        (size,) = struct.unpack_from(">I", content, place)
        name, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        assert struct.unpack_from(">I", content, place + 8 + size)[0] == zlib.crc32(name + body)
        chunks[name] = body
        place += size + 12
    width, height, depth, kind = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    assert depth == 8
    rows = zlib.decompress(chunks[b"IDAT"])
    line = len(rows) // height
    assert all(rows[i] == 0 for i in range(0, len(rows), line))
    return width, height, kind, b"".join(rows[i + 1 : i + line] for i in range(0, len(rows), line))


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4]), st.data())
def test_png_holds_the_pixels(width: int, height: int, channels: int, data: st.DataObject) -> None:
    pixels = data.draw(st.binary(min_size=width * height * channels, max_size=width * height * channels))
    assert _decoded(png(pixels, width, height, channels)) == (width, height, {1: 0, 3: 2, 4: 6}[channels], pixels)


def test_png_of_the_wrong_size_or_of_nothing_is_refused() -> None:
    for pixels, width, height in ((b"abc", 2, 1), (b"", 0, 0)):
        with pytest.raises(ValueError, match="bytes for"):
            png(pixels, width, height, 1)
    assert _decoded(indexed_png(b"\0\1", 2, 1, [(1, 2, 3), (4, 5, 6)], 1))[2] == 3


def test_few_cells_are_written_and_a_missing_one_is_a_gap(tmp_path: Path) -> None:
    values = [[0.97, math.nan], [0.5, 0.25]]
    drawn = _draw(tmp_path, Heatmap(["a", "b"], ["c", "d"], values, "after", "on", "accuracy", low=0.0, high=1.0))
    assert [t for t in LETTERS.findall(drawn.drawing) if t[0] in "01"] == ["0.97", "0.50", "0.25"]
    assert drawn.drawing.count('class="gap"') == 1
    titles = [e.text for e in _xml(drawn).iter("title")]
    assert titles == ["a, c: 0.97", "a, d: no value", "b, c: 0.5", "b, d: 0.25"]
    assert "accuracy" in drawn.legend


def test_whole_numbers_in_cells_have_no_decimals(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, Heatmap((), (), np.array([[3, 40], [7, 0]])))
    assert LETTERS.findall(drawn.drawing) == ["3", "40", "7", "0"]


def test_large_heat_map_is_an_image_for_light_and_one_for_dark_pages(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(500, 500))
    values[3, 4] = math.nan
    drawn = _draw(tmp_path, Heatmap([f"r{i}" for i in range(500)], (), values, centre=0.0))
    images = _xml(drawn).findall(".//image")
    assert [i.get("class") for i in images] == ["on-light", "on-dark"]
    assert len(drawn.drawing) < 1_200_000
    assert len(LETTERS.findall(drawn.drawing)) < 60


def test_matrix_larger_than_an_image_is_averaged(tmp_path: Path) -> None:
    values = np.zeros((1500, 60))
    values[::3] = 3.0
    drawn = _draw(tmp_path, Heatmap((), (), values))
    assert len(drawn.drawing) < 20_000
    assert len(_xml(drawn).findall(".//image")) == 2


def test_several_matrices_share_a_scale_and_may_differ_in_size(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, Heatmap((), (), {"small": [[0.0, 1.0]], "large": np.full((3, 3), 4.0)}, low=0))
    document = _xml(drawn)
    assert len(document.findall(".//svg")) == 2
    kinds = [str(e.get("class")) for e in document.iter("rect")]
    assert kinds == ["q0", "q6", *["q23"] * 9]
    assert [e.text for e in document.iter("div") if e.get("class") == "panel-name"] == ["small", "large"]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [[]],
        [[math.nan]],
        [[5.0]],
        [[1.0, 1.0]],
        [[1e300, -1e300]],
        [[1.7e308, -1.7e308]],
        [[math.inf, 1.0]],
        {"a": [[]], "b": [[1.0]]},
        {},
        [[1e-320, 0.0]],
    ],
)
@pytest.mark.parametrize("centre", [None, 0.0])
def test_odd_heat_maps_are_drawn(tmp_path: Path, values: Any, centre: float | None) -> None:
    drawn = _draw(tmp_path, Heatmap((), (), values, centre=centre))
    _xml(drawn)
    assert "damaged" not in drawn.drawing
    assert "nan" not in drawn.drawing.lower()


_cells = st.one_of(st.none(), st.floats(), st.integers(-(10**6), 10**6))


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_any_matrix_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, data: st.DataObject
) -> None:
    matrix = [[data.draw(_cells) for _ in range(columns)] for _ in range(rows)]
    names = [data.draw(st.text(max_size=40)) for _ in range(columns)]
    centre = data.draw(st.one_of(st.none(), st.floats(-5, 5)))
    drawn = _draw(tmp_path_factory.mktemp("any"), Heatmap((), names, matrix, centre=centre))
    _xml(drawn)
    assert "damaged" not in drawn.drawing


@settings(max_examples=60)
@given(
    st.dictionaries(st.text(max_size=5), st.lists(st.tuples(st.floats(), st.floats()), max_size=6), max_size=3),
    st.one_of(st.none(), st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))),
)
def test_any_points_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, series: dict[str, Any], line: tuple[float, float] | None
) -> None:
    drawn = _draw(tmp_path_factory.mktemp("any"), Scatter(series, "x", "y", line=line))
    _xml(drawn)
    assert "damaged" not in drawn.drawing


def test_points_have_their_labels_and_the_diagonal(tmp_path: Path) -> None:
    points = {"a": [(0.0, 0.0), (1.0, 1.0), (math.nan, 0.5)], "b": [(0.5, 0.2)]}
    drawn = _draw(tmp_path, Scatter(points, "x", "y", labels={"a": ["first", "second", "none"]}, line=(1.0, 0.0)))
    assert [t for t in LETTERS.findall(drawn.drawing) if t.isalpha() and len(t) > 1] == ["first", "second"]
    assert [e.text for e in _xml(drawn).iter("title")] == ["first: 0 at 0", "second: 1 at 1", "b: 0.2 at 0.5"]
    (line,) = [e for e in _xml(drawn).iter("line") if e.get("class") == "reference"]
    assert float(str(line.get("x1"))) < float(str(line.get("x2")))
    assert float(str(line.get("y1"))) > float(str(line.get("y2")))


def test_line_outside_the_drawing_is_left_out(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, Scatter({"a": [(0.0, 0.0), (1.0, 1.0)]}, "x", "y", line=(0.0, 50.0)))
    assert "reference" not in drawn.drawing


def test_many_points_make_a_small_drawing_in_which_no_outlier_is_lost(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(100_000, 2))
    points[77] = (60.0, 60.0)
    drawn = _draw(tmp_path, Scatter({"a": points}, "x", "y"))
    assert len(drawn.drawing) < 250_000
    (path,) = [str(e.get("d")) for e in _xml(drawn).iter("path")]
    assert max(float(x) for x in re.findall(r"M([\d.]+) ", path)) > 440


def test_band_lies_behind_its_curve_and_widens_the_axis(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, Figure({"a": [(0, 1), (1, 2)]}, "x", "y", bands={"a": [(0, -8, 9), (1, 1, 3)]}))
    document = _xml(drawn)
    kinds = [e.tag for e in document.iter() if e.tag in ("polygon", "polyline")]
    assert kinds == ["polygon", "polyline"]
    assert "10" in LETTERS.findall(drawn.drawing)


def test_text_is_coloured_by_strength_and_keeps_its_line_breaks(tmp_path: Path) -> None:
    pieces = [Piece("Ask:\n", "special"), Piece("no", strength=0.0), Piece(" some", strength=0.5), Piece(" all ", "loss", 2.0)]
    drawn = _draw(tmp_path, Text([pieces, [Piece("next")]], "shift, 0 to 1", {"special": "prompt"}))
    spans = [(e.get("class"), e.text) for e in ElementTree.fromstring(drawn.drawing).iter("span")]
    assert spans == [
        ("role-special", "Ask:\n"),
        ("", "no"),
        ("tinted q12", " some"),
        ("role-loss tinted q23", " all "),
    ]
    assert "shift, 0 to 1" in drawn.legend
    assert '<span class="role-special">prompt</span>' in drawn.legend
    assert "<p>next</p>" in drawn.drawing


def test_text_with_strengths_below_zero_has_two_colours_and_one_without_has_no_scale(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, Text([[Piece("down", strength=-1.0), Piece("up", strength=1.0)]]))
    assert [e.get("class") for e in _xml(drawn).iter("span") if e.get("title")] == ["tinted d0", "tinted d24"]
    assert not _draw(tmp_path, Text([[Piece("plain")]], "shift")).legend


def test_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, Text([[Piece("a", strength=0.5)] * 4000] * 3))
    assert drawn.drawing.count("tinted") == 6000
    assert "6\u2009000 of 12\u2009000 pieces" in drawn.drawing


def test_images_are_stored_as_files_and_shown_in_rows(tmp_path: Path) -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    colour = np.stack([grey, grey * 2, grey * 3], axis=-1)[:, ::-1]
    drawn = _draw(tmp_path, ImageGrid([grey, colour, JPEG, grey], ["a", "b", "c", "d"], columns=2, rows=["first", "second"]))
    document = _xml(drawn)
    assert [e.get("alt") for e in document.iter("img")] == ["a", "b", "c", "d"]
    assert [e.text for e in document.iter("div") if e.get("class") == "row-name"] == ["first", "second"]
    stored = read_evaluation(tmp_path / "toy-error.json")["figures"]["drawn"]["images"]
    assert stored[0]["file"] == stored[3]["file"]
    content = read_media(tmp_path, stored[1]["file"])
    assert content is not None
    assert _decoded(content) == (3, 2, 2, colour.tobytes())
    assert read_media(tmp_path, stored[2]["file"]) == JPEG


@pytest.mark.parametrize(
    "image",
    [np.zeros((2, 2)), np.zeros((2, 2, 2), np.uint8), np.zeros(4, np.uint8), b"<svg/>", "text", np.zeros((0, 2), np.uint8)],
)
def test_what_is_no_image_is_refused(tmp_path: Path, image: Any) -> None:
    with pytest.raises(ValueError, match=r"image 0|pixels"):
        write_evaluation(tmp_path, "toy/error", None, Evaluation(figures={"images": ImageGrid([image])}))
    assert not (tmp_path / "toy-error.json").exists()


def test_kinds_of_image_files_are_told_by_their_first_bytes() -> None:
    found = [image_type(content) for content in (png(b"\0", 1, 1, 1), JPEG, b"GIF89a", b"RIFF0000WEBP", b"RIFF0000WAVE", b"")]
    assert found == ["image/png", "image/jpeg", "image/gif", "image/webp", None, None]


def test_too_many_images_are_cut_and_the_page_says_where_the_others_are(tmp_path: Path) -> None:
    drawn = _draw(tmp_path, ImageGrid([np.full((1, 1), i % 256, np.uint8) for i in range(300)]))
    assert drawn.drawing.count("<img") == 240
    assert "The first 240 of 300 images" in drawn.drawing


def test_files_outside_the_folder_of_media_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "media").mkdir()
    link = "0" * 32 + ".png"
    (tmp_path / "media" / link).symlink_to(tmp_path / "secret")
    for name in ("../secret", "/etc/passwd", str(tmp_path / "secret"), link, "", None, 3, "0" * 32 + "/../../secret"):
        assert read_media(tmp_path, name) is None


def test_missing_file_and_damaged_figure_are_said_and_stop_nothing(tmp_path: Path) -> None:
    found = {
        "gone": {"kind": "picture", "media_type": "image/png", "file": "0" * 32 + ".png", "caption": ""},
        "torn": {"kind": "heatmap", "caption": "", "values": 3},
        "later": {"kind": "hologram", "caption": ""},
    }
    gone, torn, later = figures({"figures": found}, tmp_path)
    assert "is missing" in gone.drawing
    assert "damaged" in torn.drawing
    assert "damaged" in later.drawing


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for text in ("[]", "{}", '{"name": 3, "metrics": {}, "tables": {}, "samples": {}, "figures": {}}', "{"):
        path.write_text(text)
        with pytest.raises(EnvironmentFault, match="other"):
            read_evaluation(path)


def test_numbers_of_arrays_are_stored_as_numbers_and_other_things_are_refused(tmp_path: Path) -> None:
    table = Table(["a"], [[np.float32(0.5)], [np.int64(3)], [np.array([1, 2])], [True], [None]])
    metric = Metric(np.float64(2.5), 3)
    stored = plain_evaluation(Evaluation({"m": metric}, {"t": table}, figures={"p": Picture(b"0", "image/png")}))
    assert json.loads(json.dumps(stored))["tables"]["t"]["rows"] == [[0.5], [3], [[1, 2]], [True], [None]]
    assert stored["figures"] == {}
    with pytest.raises(TypeError, match="can't hold object"):
        plain_evaluation(Evaluation(tables={"t": Table(["a"], [[object()]])}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Heatmap(["a"], (), [[1], [2]]), "2 rows for 1 names"),
        (lambda: Heatmap((), ["a"], [[1, 2]]), "columns for 1 names"),
        (lambda: Heatmap((), (), {"left": [[1, 2], [3]]}), "values of 'left'"),
        (lambda: Scatter({"a": [(0, 0)]}, "x", "y", labels={"b": ["text"]}), "labels of 'b'"),
        (lambda: Figure({"a": []}, "x", "y", bands={"b": []}), "no series is named 'b'"),
        (lambda: ImageGrid([b"", b""], ["one"]), "captions: 1 for 2"),
        (lambda: ImageGrid([b"", b""], columns=1, rows=["one"]), "rows: 1 names"),
        (lambda: ImageGrid([b""], columns=0), "at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_where_the_figure_is_made(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("letter", ["q", "d"])
@pytest.mark.parametrize("dark", [True, False])
def test_colours_get_steadily_stronger_from_the_page_colour_to_the_ends(letter: str, dark: bool) -> None:
    found = [sum(colour) for colour in colours(letter, dark)]
    middle = 0 if letter == "q" else len(found) // 2
    sign = 1 if dark else -1
    after = [sign * value for value in found[middle:]]
    before = [sign * value for value in found[: middle + 1]]
    assert after == sorted(after)
    assert before == sorted(before, reverse=True)
    assert palette_css().count(f".{letter}0{{") == 2


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.one_of(st.none(), st.floats(0, 1)), st.floats(-2e9, 2e9))
def test_every_value_has_a_level_and_larger_ones_have_no_lower_one(
    low: float, width: float, share: float | None, x: float
) -> None:
    scale = Scale(low, low + width, None if share is None else low + share * width)
    assert 0 <= scale.level(x) <= scale.level(x + 1.0) < scale.levels
