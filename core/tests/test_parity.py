"""Golden vectors: comparison, adapters, reports."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.api import Plugin
from omnitrain.cli import run
from omnitrain.errors import PluginError, UsageError
from omnitrain.evidence.comparing import Tolerance, first_difference
from omnitrain.evidence.parity import ParityReport, run_parity
from omnitrain.plugins import PluginState, Registry
from omnitrain.report.markdown import parity_table

TOLERANCE = Tolerance(1e-6, 1e-7)

Vectors = Callable[..., Path]


def _difference(expected: Any, actual: Any) -> str | None:
    return first_difference(expected, actual, TOLERANCE, "output")


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (0, 0.0),
        (1.0, 1.0000009),
        (0.0, 9e-8),
        ("nan", math.nan),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("inf", "inf"),
        (math.nan, math.nan),
        ([1, [2.0]], (1, (2.0,))),
        ({"1": "a"}, {1: "a"}),
        (None, None),
        (True, True),
        ({"a": [], "b": {}}, {"b": {}, "a": ()}),
    ],
)
def test_equal_values_have_no_difference(expected: Any, actual: Any) -> None:
    assert _difference(expected, actual) is None


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1.0, 1.000002),
        (10**9, 10**9 + 1),
        (0.0, 2e-7),
        (True, 1),
        (1, True),
        ("1", 1),
        ("nan", 0.0),
        (0.0, math.nan),
        ("inf", -math.inf),
        (1e308, math.inf),
        ("a", "b"),
        (None, 0),
        (0, None),
        ([], {}),
        ({}, []),
        ("ab", ["a", "b"]),
        (["a", "b"], "ab"),
    ],
)
def test_different_values_have_a_difference(expected: Any, actual: Any) -> None:
    assert _difference(expected, actual) is not None


def test_first_difference_names_its_path() -> None:
    expected = {"mask": [0, 1, 1], "loss": 0.5}
    assert _difference(expected, {"mask": [0, 1, 0], "loss": 9.0}) == "output.mask[2]: expected 1, got 0"
    assert _difference(expected, {"mask": [0, 1], "loss": 0.5}) == "output.mask: expected 3 entries, got 2"
    assert _difference(expected, {"mask": [0, 1, 1]}) == "output: expected the key 'loss', got mask"
    assert _difference({}, {"extra": 1}) == "output: got the key 'extra', which is not expected"


def test_tensors_and_arrays_are_compared_as_lists() -> None:
    import numpy as np
    import torch

    assert _difference([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])) is None
    assert _difference({"loss": 0.5}, {"loss": torch.tensor(0.5, requires_grad=True)}) is None
    assert _difference([True, False], torch.tensor([True, False])) is None
    assert _difference([1, 0], torch.tensor([True, False])) is not None


_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(_plain)
def test_everything_equals_itself(value: Any) -> None:
    assert _difference(value, value) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1), st.data())
def test_a_changed_number_is_found_at_its_place(values: list[float], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values]
    changed[place] = values[place] + max(1.0, abs(values[place]))
    difference = _difference(values, changed)
    assert difference is not None
    assert difference.startswith(f"output[{place}]: ")


def _registry(parity: str | None = "fake_parity:ADAPTERS", golden: str | None = None) -> Registry:
    plugin = Plugin("fake", "S.", "1.0", parity=parity, golden=golden)
    return Registry([PluginState("fake", "omnitrain-fake", "1.0", "ok", plugin=plugin, api="1.0")])


def _fail(case: Any, shared: Any) -> Any:
    raise ValueError("no such case\nsecond line")


@pytest.fixture(autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fake_parity")
    module.ADAPTERS = {  # type: ignore[attr-defined]
        "double": lambda case, shared: {"value": 2 * case["x"]},
        "shared": lambda case, shared: shared["factor"] * case,
        "failing": _fail,
        "loose": lambda case, shared: case + 0.01,
        "statistic": lambda case, shared: case + 1,
        "dtype": lambda case, shared: _default_dtype(),
    }
    module.TOLERANCES = {"loose": (0.0, 0.02), "statistic": {"standard_errors": 4}}  # type: ignore[attr-defined]
    module.COMPARE = {  # type: ignore[attr-defined]
        "statistic": lambda expected, actual, case: None if abs(expected - actual) < 4 else f"output: {actual} is far off"
    }
    module.TEST_ONLY = {"shared": "the factor, which training does not know"}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_parity", module)


def _default_dtype() -> str:
    import torch

    return str(torch.get_default_dtype())


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    def write(**files: Any) -> Path:
        for stem, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / f"{stem}.json").write_text(text)
        return tmp_path

    return write


def _run(folder: Path) -> ParityReport:
    return run_parity("fake", _registry(), folder)


def test_all_cases_are_run_and_counted(vectors: Vectors) -> None:
    cases = [{"input": {"x": i}, "output": {"value": 2 * i}, "information": "not compared"} for i in range(3)]
    report = _run(vectors(double={"source": "s", "cases": [*cases, {"input": {"x": 3}, "output": {"value": 7}}]}))
    assert (report.passed, report.failed) == (3, 1)
    assert report.files[0].first_difference == "cases[3].output.value: expected 7, got 6"


def test_json_has_the_documented_form(vectors: Vectors) -> None:
    folder = vectors(double={"cases": [{"input": {"x": 1}, "output": {"value": 2}}]})
    assert _run(folder).json() == {
        "plugin": "fake",
        "vectors": str(folder),
        "passed": 1,
        "failed": 0,
        "files": [
            {
                "file": "double.json",
                "passed": 1,
                "failed": 0,
                "tolerance": {"relative": 1e-6, "absolute": 1e-7},
                "first_difference": None,
                "test_only": None,
            }
        ],
    }


def test_other_entries_of_the_file_are_shared(vectors: Vectors) -> None:
    assert _run(vectors(shared={"factor": 5, "cases": [{"input": 2, "output": 10}]})).failed == 0


def test_file_that_reaches_test_only_code_says_so(vectors: Vectors) -> None:
    folder = vectors(
        double={"cases": [{"input": {"x": 1}, "output": {"value": 2}}]},
        shared={"factor": 5, "cases": [{"input": 2, "output": 10}]},
    )
    report = _run(folder)
    assert [f.test_only for f in report.files] == [None, "the factor, which training does not know"]
    lines = parity_table("fake", report.json()).splitlines()
    assert lines[2] == "| double | 1 | relative 1e-06, absolute 1e-07 | code of training |"
    assert lines[3].endswith("| **not of training**: the factor, which training does not know |")


def test_test_only_file_without_an_adapter_is_an_error(vectors: Vectors) -> None:
    sys.modules["fake_parity"].TEST_ONLY = {"shred": "what is gone"}  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match=r"names 'shred', which has no adapter\. Did you mean 'shared'"):
        _run(vectors(shared={"factor": 5, "cases": [{"input": 2, "output": 10}]}))


def test_adapter_that_raises_is_a_failed_case_with_its_line(vectors: Vectors) -> None:
    report = _run(vectors(failing={"cases": [{"input": 1, "output": 1}, {"input": 2, "output": 1}]}))
    assert report.failed == 2
    assert str(report.files[0].first_difference).startswith("cases[0]: ValueError: no such case (test_parity.py:")


@pytest.mark.parametrize(
    "content",
    [
        {"cases": [{"input": 1, "output": 2}]},
        {"cases": []},
        {"cases": {}},
        {"note": "no cases"},
        [],
        "{ not json",
    ],
)
def test_file_that_can_not_be_run_is_failed(content: Any, vectors: Vectors) -> None:
    report = _run(vectors(unknown=content))
    assert (report.passed, report.failed) == (0, 1)
    assert report.files[0].first_difference


@pytest.mark.parametrize("case", [{"input": 1}, {"output": 1}, 5])
def test_malformed_case_is_failed(case: Any, vectors: Vectors) -> None:
    assert _run(vectors(double={"cases": [case]})).failed == 1


def test_tolerances_and_comparison_of_the_plugin_are_used_and_told(vectors: Vectors) -> None:
    loose = {"cases": [{"input": 1.0, "output": 1.0}]}
    statistic = {"cases": [{"input": 1, "output": 1}, {"input": 9, "output": 1}]}
    found = {f.file: f for f in _run(vectors(loose=loose, statistic=statistic)).files}
    assert found["loose.json"].failed == 0
    assert found["loose.json"].tolerance == {"relative": 0.0, "absolute": 0.02}
    assert (found["statistic.json"].passed, found["statistic.json"].failed) == (1, 1)
    assert found["statistic.json"].tolerance == {"standard_errors": 4.0}
    assert found["statistic.json"].first_difference == "cases[1].output: 10 is far off"


def test_cases_run_in_float64_and_the_default_comes_back(vectors: Vectors) -> None:
    before = _default_dtype()
    assert _run(vectors(dtype={"cases": [{"input": None, "output": "torch.float64"}]})).failed == 0
    assert _default_dtype() == before


def test_folder_without_vectors_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no golden files"):
        _run(tmp_path / "nowhere")


def test_plugin_without_adapters_or_vectors_is_a_plugin_error(tmp_path: Path, vectors: Vectors) -> None:
    folder = vectors(double={"cases": [{"input": {"x": 1}, "output": {"value": 2}}]})
    with pytest.raises(PluginError, match="offers no parity adapters"):
        run_parity("fake", _registry(parity=None), folder)
    with pytest.raises(PluginError, match="can't be loaded: ModuleNotFoundError"):
        run_parity("fake", _registry(parity="no_such_module:ADAPTERS"), folder)
    with pytest.raises(PluginError, match="--vectors"):
        run_parity("fake", _registry())


def test_vectors_in_the_package_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = tmp_path / "fake_package" / "golden"
    golden.mkdir(parents=True)
    (tmp_path / "fake_package" / "__init__.py").write_text("")
    (golden / "double.json").write_text(json.dumps({"cases": [{"input": {"x": 1}, "output": {"value": 2}}]}))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_parity("fake", _registry(golden="fake_package:golden")).passed == 1


def test_vectors_of_a_checkout_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = tmp_path / "check out" / "tests" / "golden"
    golden.mkdir(parents=True)
    (golden / "double.json").write_text(json.dumps({"cases": [{"input": {"x": 1}, "output": {"value": 2}}]}))
    info = tmp_path / "site" / "omnitrain_fake-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: omnitrain-fake\nVersion: 1.0\n")
    (info / "direct_url.json").write_text(json.dumps({"url": (tmp_path / "check out").as_uri(), "dir_info": {}}))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert run_parity("fake", _registry()).passed == 1


def test_command_ends_with_code_6_on_a_difference(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from omnitrain.cli.commands import parity

    monkeypatch.setattr(parity, "installed", _registry)
    good = vectors(double={"cases": [{"input": {"x": 1}, "output": {"value": 2}}]})
    assert run(["parity", "fake", "--vectors", str(good)]) == 0
    assert "1 passed, 0 failed" in capsys.readouterr().out
    bad = vectors(double={"cases": [{"input": {"x": 1}, "output": {"value": 3}}]})
    assert run(["parity", "fake", "--vectors", str(bad), "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["failed"] == 1


def test_command_writes_the_table_into_the_readme_and_checks_it(
    vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from omnitrain import plugins
    from omnitrain.cli.commands import parity
    from omnitrain.evidence import checkouts

    for module in (parity, plugins):
        monkeypatch.setattr(module, "installed", _registry)
    monkeypatch.setattr(checkouts, "checkout", lambda name: tmp_path)
    command = ["parity", "fake", "--vectors", str(vectors(shared={"factor": 5, "cases": [{"input": 2, "output": 10}]}))]
    (tmp_path / "README.md").write_text("<!-- parity -->\n<!-- /parity -->\n")
    assert run([*command, "--check-readme"]) == 6
    assert "omnitrain parity fake --write-readme" in capsys.readouterr().err
    assert run([*command, "--write-readme"]) == 0
    assert "**not of training**: the factor" in (tmp_path / "README.md").read_text()
    assert run([*command, "--check-readme"]) == 0
