"""What a run knows of its processor, and the warning where bfloat16 is emulated."""

import json
from pathlib import Path

import pytest
import torch

from omnitrain.cli import run
from omnitrain.engine import devices
from omnitrain.engine.devices import cpu_capability, emulated_bf16
from omnitrain.runs import environment
from omnitrain.runs.environment import describe_cpu

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model name : EPYC\nflags : fma avx2\n\nmodel name : EPYC\nflags : fma\n", {"kind": "EPYC", "bf16": False}),
        ("model name\t: Xeon\nflags\t\t: avx512f avx512_bf16\n", {"kind": "Xeon", "bf16": True}),
        ("model name\t: Xeon\nflags\t\t: amx_bf16\n", {"kind": "Xeon", "bf16": True}),
        ("model name\t: Odd\n", {"kind": "Odd", "bf16": None}),
    ],
)
def test_kind_of_the_processor_is_read_with_its_instructions(
    text: str, expected: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(environment, "CPU_FILE", tmp_path / "cpuinfo")
    assert describe_cpu() == expected


def test_processor_of_arm_is_named_by_its_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("Features\t: asimd bf16\nCPU part\t: 0xd40\n")
    monkeypatch.setattr(environment, "CPU_FILE", tmp_path / "cpuinfo")
    found = describe_cpu()
    assert (str(found["kind"]).endswith(" 0xd40"), found["bf16"]) == (True, True)


def test_system_without_that_file_says_what_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "CPU_FILE", tmp_path / "absent")
    assert describe_cpu()["bf16"] is None
    assert describe_cpu()["kind"]


@pytest.fixture
def emulating(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "describe_cpu", lambda: {"kind": "Old One", "bf16": False})


@pytest.mark.usefixtures("emulating")
def test_only_bfloat16_on_a_processor_that_emulates_it_is_warned_of() -> None:
    warning = emulated_bf16("bf16", CPU)
    assert warning == (
        f"precision bf16 is emulated on this processor (Old One, {cpu_capability()}), which takes about 15 times as long as "
        "float32; set precision to float32"
    )
    assert emulated_bf16("float32", CPU) is None
    assert emulated_bf16("bf16", torch.device("cuda")) is None


@pytest.mark.parametrize("native", [True, None])
def test_nothing_is_said_where_it_is_native_or_unknown(native: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "describe_cpu", lambda: {"kind": "New One", "bf16": native})
    assert emulated_bf16("bf16", CPU) is None


@pytest.mark.usefixtures("emulating")
def test_run_and_dry_run_warn_at_their_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "toy/tiny", "train.fit.precision=bf16", "train.fit.steps=1", "--out", str(tmp_path / "r")]
    assert run([*command, "--dry-run"]) == 0
    assert "precision bf16 is emulated on this processor" in capsys.readouterr().out
    assert run([*command, "--quiet"]) == 0
    events = [json.loads(line) for line in (tmp_path / "r" / "events.jsonl").read_text().splitlines()]
    names = [event["event"] for event in events if event["stage"] == "train"]
    assert names.index("slow precision") < names.index("training")
