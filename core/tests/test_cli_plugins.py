"""Commands about plugins, also broken ones and ones with commands of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from omnitrain.cli import run

HEAD = "from omnitrain.api import Command, Component, Plugin, Recipe, hookimpl\n"


def _install(folder: Path, name: str, body: str) -> None:
    """Write a distribution with one plugin module into a folder that goes on the path."""
    info = folder / f"omnitrain_{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: omnitrain-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[omnitrain.plugins]\n{name} = omnitrain_{name}\n")
    (folder / f"omnitrain_{name}.py").write_text(HEAD + body)


def _plugin(name: str, **more: str) -> str:
    fields = "".join(f", {key}={value}" for key, value in more.items())
    return f"@hookimpl\ndef omnitrain_plugin():\n    return Plugin(name={name!r}, summary='S.', api='1.0'{fields})\n"


def _omnitrain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "omnitrain", *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)


def test_broken_plugin_is_a_line_and_its_output_is_swallowed(tmp_path: Path) -> None:
    _install(tmp_path, "bad", "print('noise on import')\nraise RuntimeError('no licence')\n")
    done = _omnitrain(tmp_path, "plugins")
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("bad "))
    assert "broken" in line
    assert "RuntimeError: no licence" in line
    assert "noise on import" not in done.stdout
    assert "bad printed 16 characters" in done.stderr


def test_json_stays_json_beside_a_plugin_that_prints(tmp_path: Path) -> None:
    _install(tmp_path, "loud", "print('noise on import')\n" + _plugin("loud"))
    entries = {e["name"]: e for e in json.loads(_omnitrain(tmp_path, "plugins", "--json").stdout)}
    assert entries["loud"]["status"] == "ok"
    assert entries["core"]["status"] == "ok"


def test_info_of_a_broken_plugin_tells_why_and_shows_the_trace_on_request(tmp_path: Path) -> None:
    _install(tmp_path, "bad", "raise RuntimeError('no licence')\n")
    plain, traced = _omnitrain(tmp_path, "info", "bad"), _omnitrain(tmp_path, "info", "bad", "--traceback")
    assert (plain.returncode, traced.returncode) == (3, 3)
    assert "no licence" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "omnitrain_bad.py" in traced.stderr


def test_commands_of_plugins_are_in_the_help_without_being_imported(tmp_path: Path) -> None:
    _install(tmp_path, "extra", _plugin("extra", commands="(Command('inspect', 'Look inside.', 'missing_module:main'),)"))
    done = _omnitrain(tmp_path, "--help")
    assert done.returncode == 0
    assert "Commands of plugins:" in done.stdout
    assert "Look inside." in done.stdout
    called = _omnitrain(tmp_path, "inspect")
    assert called.returncode == 3
    assert "missing_module" in called.stderr


def test_function_of_a_plugin_gets_the_arguments_and_gives_the_exit_code(tmp_path: Path) -> None:
    body = "def main(arguments):\n    print(arguments)\n    return 4\n"
    _install(tmp_path, "extra", body + _plugin("extra", commands="(Command('inspect', 'Look.', 'omnitrain_extra:main'),)"))
    done = _omnitrain(tmp_path, "inspect", "a", "--deep", "--help")
    assert (done.returncode, done.stdout) == (4, "['a', '--deep', '--help']\n")


def test_click_command_of_a_plugin_is_run(tmp_path: Path) -> None:
    body = "import click\n@click.command()\n@click.option('--count', default=1)\ndef main(count):\n    print(count + 1)\n"
    _install(tmp_path, "extra", body + _plugin("extra", commands="(Command('inspect', 'Look.', 'omnitrain_extra:main'),)"))
    assert _omnitrain(tmp_path, "inspect", "--count", "2").stdout == "3\n"


def test_thread_that_a_command_leaves_running_does_not_keep_it_alive(tmp_path: Path) -> None:
    body = "import threading\ndef main(arguments):\n    threading.Thread(target=threading.Event().wait).start()\n    return 4\n"
    _install(tmp_path, "extra", body + _plugin("extra", commands="(Command('linger', 'Stay.', 'omnitrain_extra:main'),)"))
    code = "import sys, omnitrain.__main__ as m; m.PATIENCE_S = 0.05; sys.argv[1:] = ['linger']; m.main()"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, timeout=60, check=False)
    assert done.returncode == 4


def test_command_of_a_plugin_that_is_well_again_is_found_though_it_is_remembered_as_broken(tmp_path: Path) -> None:
    body = "import os\nif 'EXTRA_IS_WELL' not in os.environ: raise RuntimeError('no luck')\n"
    body += "def main(arguments):\n    print('here')\n"
    _install(tmp_path, "extra", body + _plugin("extra", commands="(Command('inspect', 'Look.', 'omnitrain_extra:main'),)"))
    assert _omnitrain(tmp_path, "inspect").returncode == 2
    os.environ["EXTRA_IS_WELL"] = "1"
    try:
        assert _omnitrain(tmp_path, "inspect").stdout == "here\n"
    finally:
        del os.environ["EXTRA_IS_WELL"]


def test_command_with_a_taken_name_gets_its_plugins_name_in_front(tmp_path: Path) -> None:
    body = "def main(arguments):\n    print('mine')\n"
    _install(tmp_path, "extra", body + _plugin("extra", commands="(Command('run', 'Mine.', 'omnitrain_extra:main'),)"))
    assert _omnitrain(tmp_path, "extra-run").stdout == "mine\n"


def test_info_of_a_component_lists_nested_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "core/fit", "--json"]) == 0
    settings = {s["key"]: s for s in json.loads(capsys.readouterr().out)["settings"]}
    assert settings["fit.steps"] == {
        "key": "fit.steps",
        "type": "int (>= 0)",
        "default": None,
        "description": "Optimiser updates in all.",
    }
    assert settings["fit.optimiser.name"]["type"] == "adamw | adam | sgd | adafactor"
    assert settings["fit.optimiser.betas"]["default"] == "[0.9, 0.999]"
    assert settings["fit.early_stop.patience"]["type"] == "int (>= 1)"
    assert settings["data"]["type"] == "data component"
    assert settings["evaluators"]["type"] == "list of evaluator component"
    assert all(s["description"] for s in settings.values())


def test_info_of_a_recipe_prints_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "toy/tiny"]) == 0
    assert "data: {use: toy/rows}" in capsys.readouterr().out


def test_info_of_a_plugin_names_what_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "toy"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("toy: Regression on a few numbers.\n")
    assert "toy/square" in out
    assert "toy/mini" in out


def test_info_of_an_unknown_name_says_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "toy/sqare"]) == 2
    assert "'toy/square'" in capsys.readouterr().err


def test_schema_accepts_the_recipe_it_was_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "toy/tiny"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["anyOf"][0] == {"required": ["stages"]}
    assert run(["schema", "toy/rows"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_doctor_finds_a_broken_plugin_and_a_torchvision_that_can_not_be_imported(tmp_path: Path) -> None:
    _install(tmp_path, "bad", "raise RuntimeError('no licence')\n")
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    done = _omnitrain(tmp_path, "doctor", "--json")
    assert done.returncode == 5
    found = json.loads(done.stdout)
    assert found["healthy"] is False
    checks = {c["name"]: c for c in found["checks"] if c["level"] == "broken"}
    assert {"plugin bad", "torchvision"} <= set(checks)
    assert "nms" in checks["torchvision"]["value"]
