"""Plugins that do whatever code can do at import: each is a line in a table, and every command works beside them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = "2"
WELL = """
from omnitrain.api import Claim, Command, Component, Plugin, Recipe, hookimpl

@hookimpl
def omnitrain_plugin():
    return Plugin(**{{"name": {name!r}, "summary": "s", "api": "1.1", {fields}}})
"""


def well(**fields: str) -> str:
    """Return a description whose fields are given as code."""
    return WELL.replace("{fields}", ", ".join(f"{key!r}: {value}" for key, value in fields.items()))


# What the import does, and what the table says of it; "" for a plugin that is well for all that.
HOSTILE = {
    "keyboard-interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "system-exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "generator-exit": ("raise GeneratorExit", "GeneratorExit"),
    "recursion": ("def f(): f()\nf()", "RecursionError"),
    "leaves": ("import os; os._exit(3)", "its import ended the process with exit code 3"),
    "leaves-well": ("import os; os._exit(0)", "its import ended the process with exit code 0"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "its import ended the process with signal 11 (SIGSEGV)"),
    "abort": ("import os; os.abort()", "its import ended the process with signal 6 (SIGABRT)"),
    "kills-itself": ("import os; os.kill(os.getpid(), 9)", "with signal 9 (SIGKILL)"),
    "kills-its-group": ("import os; os.killpg(0, 9)", "with signal 9 (SIGKILL)"),
    "swallows": (
        "while True:\n    try:\n        import time; time.sleep(60)\n    except BaseException: pass",
        f"longer than {SECONDS} s",
    ),
    "ignores-alarms": (
        "import signal, time\nfor n in (14, 15, 2, 1): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
        f"longer than {SECONDS} s",
    ),
    "long-c-call": (
        "import hashlib; hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2_000_000_000)",
        f"longer than {SECONDS} s",
    ),
    "prints-for-ever": ("import os\nwhile True: os.write(1, b'x' * 4096)", f"longer than {SECONDS} s"),
    "waits-for-input": ("if input(): pass", "EOFError"),
    "thread-that-never-ends": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n" + well(),
        "",
    ),
    "child-that-holds-the-output": ("import subprocess; subprocess.Popen(['sleep', '600'])\n" + well(), ""),
    "closes-stdout": ("import sys; sys.stdout.close(); sys.stderr.close()\n" + well(), ""),
    "replaces-stdout": ("import sys; sys.stdout = None\n" + well(), ""),
    "closes-all": ("import os; os.closerange(0, 256)\n" + well(), "its import ended the process with exit code 1"),
    "prints-by-descriptor": ("import os; os.system('echo from a child'); os.write(1, b'loud')\n" + well(), ""),
    "forks": ("import os; os.fork()\n" + well(), None),
    "patches-json": ("import json; json.dumps = lambda *a, **k: 'X'\n" + well(), None),
    "recipes-none": (well(recipes="None"), "recipes is None; expected a tuple, each omnitrain.api.Recipe"),
    "recipes-objects": (well(recipes="(object(),)"), "recipes.0 is <object object"),
    "commands-none": (well(commands="None"), "commands is None; expected a tuple, each omnitrain.api.Command"),
    "commands-objects": (well(commands="(object(),)"), "expected omnitrain.api.Command"),
    "commands-escape": (well(commands="(Command('../x', 's', 'm:f'),)"), "names a command '../x'"),
    "claims-number": (well(claims="3"), "claims is 3; expected a tuple"),
    "claims-objects": (well(claims="('C1',)"), "claims.0 is 'C1'; expected omnitrain.api.Claim"),
    "components-odd": (well(components="(Component('data', None, 's'),)"), "components.0.name is None; expected text"),
    "component-slash": (well(components="(Component('data', 'a/b', 's', 'm:C', 'm:b'),)"), "names a component 'a/b'"),
    "links-list": (well(links="[1]"), "links is [1]; expected a mapping"),
    "links-numbers": (well(links="{'a': 1}"), "links.a is 1; expected text"),
    "summary-none": (well(summary="None"), "summary is None; expected text"),
    "summary-escape": (well(summary="'\\x1b]0;gotcha\\x07'"), "expected text without control characters"),
    "recipe-outside": (well(recipes="(Recipe('r', 's', '../../etc/passwd'),)"), "expected a file inside the package"),
    "can-not-be-shown": (
        "class Odd:\n    def __repr__(self): raise SystemError('no')\n" + well(summary="Odd()"),
        "summary is something of type Odd; expected text",
    ),
}
ODD_NAMES = ("a/b", "../x", "name with blanks", "x" * 80)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, installed in one folder, with a good one beside them."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (code, _) in {
        **HOSTILE,
        "good": (well(recipes="(Recipe('tiny', 'Good.'),)", commands="(Command('wave', 'Wave.', 'm:f'),)"), ""),
    }.items():
        _install(folder, f"omnitrain-{name}", name, code.replace("{name!r}", repr(name)).replace("{{", "{").replace("}}", "}"))
    for number, name in enumerate(ODD_NAMES):
        _install(folder, f"odd-{number}", name, "raise RuntimeError('never imported')")
    _install(folder, "aaa-takes-the-core", "core", "raise RuntimeError('never imported')")
    return folder


def _install(folder: Path, distribution: str, name: str, code: str) -> None:
    module = distribution.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[omnitrain.plugins]\n{name} = {module}\n")


@pytest.fixture(scope="module")
def omnitrain(place: Path) -> "dict[str, subprocess.CompletedProcess[str]]":
    """What the commands do beside all of these; the first one looks at them, the others remember."""
    path = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "OMNITRAIN_PLUGIN_SECONDS": SECONDS,
        "OMNITRAIN_CACHE": str(place / "cache"),
    }
    done = {}
    for arguments in ("--help", "plugins --json", "plugins", "recipes", "info segfault"):
        command = [sys.executable, "-m", "omnitrain", *arguments.split()]
        done[arguments] = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done


@pytest.fixture(scope="module")
def rows(omnitrain: "dict[str, subprocess.CompletedProcess[str]]") -> "dict[str, dict[str, str]]":
    """The table's rows by distribution."""
    done = omnitrain["plugins --json"]
    assert done.returncode == 0, done.stderr
    return {row["distribution"]: row for row in json.loads(done.stdout)}


@pytest.mark.parametrize("name", HOSTILE)
def test_plugin_is_a_line_with_its_reason_when_it(name: str, rows: "dict[str, dict[str, str]]") -> None:
    row, reason = rows[f"omnitrain-{name}"], HOSTILE[name][1]
    if reason is None:  # either way is good, as long as it is a line
        return
    assert row["status"] == ("broken" if reason else "ok"), row
    assert reason in row["reason"]


@pytest.mark.parametrize("number", range(len(ODD_NAMES)))
def test_name_that_can_be_no_part_of_an_address_is_refused(number: int, rows: "dict[str, dict[str, str]]") -> None:
    assert rows[f"odd-{number}"]["status"] == "broken"
    assert "can't be part of an address" in rows[f"odd-{number}"]["reason"]


def test_the_core_and_a_good_plugin_are_well(rows: "dict[str, dict[str, str]]") -> None:
    assert rows["aaa-takes-the-core"]["status"] == "duplicate"
    assert [rows[name]["status"] for name in ("omnitrain-core", "omnitrain-toy", "omnitrain-good")] == ["ok"] * 3


@pytest.mark.parametrize("arguments", ["--help", "plugins", "recipes"])
def test_command_works_beside_all_of_them(arguments: str, omnitrain: "dict[str, subprocess.CompletedProcess[str]]") -> None:
    done = omnitrain[arguments]
    assert done.returncode == 0, done.stderr
    assert {"--help": "Wave.", "plugins": "omnitrain-good", "recipes": "good/tiny"}[arguments] in done.stdout
    assert "from a child" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_plugin_that_is_asked_for_ends_the_command_with_its_reason(
    omnitrain: "dict[str, subprocess.CompletedProcess[str]]",
) -> None:
    done = omnitrain["info segfault"]
    assert done.returncode == 3
    assert "is broken: its import ended the process with signal 11 (SIGSEGV)." in done.stderr
