"""The contract as an author meets it: a test module of two lines, and the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sample import write_plugin

MODULE = """
from omnitrain_testing.contract import contract

test_contract = contract("{name}"{more})
"""
LIGHT = "light and import or metadata or readme or declared"


@pytest.fixture
def command(tmp_path: Path):
    """`omnitrain check` in an environment that holds a plugin."""

    def run(source: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(source)}
        return subprocess.run(
            [sys.executable, "-m", "omnitrain", "check", *arguments], env=environment, capture_output=True, text=True
        )

    return run


def pytest_on(pytester: pytest.Pytester, name: str, more: str, *arguments: str) -> pytest.RunResult:
    source = write_plugin(pytester.path / "plugin", name)
    pytester.makepyfile(MODULE.format(name=name, more=more))
    pytester.syspathinsert(source)
    return pytester.runpytest("-p", "no:cacheprovider", *arguments)


def outcomes(result: pytest.RunResult) -> dict[str, int]:
    return {name: count for name, count in result.parseoutcomes().items() if name != "deselected"}


def test_each_check_is_a_test_with_a_readable_name(pytester: pytest.Pytester) -> None:
    result = pytest_on(pytester, "readable", "", "--collect-only", "-q")
    result.stdout.fnmatch_lines(
        ["*::test_contract?light import?", "*::test_contract?readable/rows config round trip?", "*::test_contract?tiny resume?"]
    )


def test_passing_checks_pass(pytester: pytest.Pytester) -> None:
    assert outcomes(pytest_on(pytester, "passing", "", "-k", LIGHT)) == {"passed": 4}


def test_exception_is_shown_with_its_reason(pytester: pytest.Pytester) -> None:
    more = ', golden="nowhere", exceptions={"golden vectors": "The official code was never published."}'
    result = pytest_on(pytester, "excepted", more, "-k", "golden")
    assert outcomes(result) == {"xfailed": 1}
    result.stdout.fnmatch_lines(["excepted: golden vectors: excepted: The official code was never published."])


def test_exception_that_is_not_needed_is_noted(pytester: pytest.Pytester) -> None:
    result = pytest_on(pytester, "needless", ', exceptions={"metadata": "We have none to give."}', "-k", "metadata")
    assert outcomes(result) == {"passed": 1}
    result.stdout.fnmatch_lines(["needless: metadata: the declared exception (We have none to give.) is not needed any more"])


def test_exception_from_an_unknown_check_fails(pytester: pytest.Pytester) -> None:
    result = pytest_on(pytester, "unknown", ', exceptions={"metadatta": "We have none to give."}', "-k", "declared")
    assert outcomes(result) == {"failed": 1}
    result.stdout.fnmatch_lines(["*'metadatta' names no check of this plugin*"])


def test_exception_without_a_reason_is_refused(pytester: pytest.Pytester) -> None:
    result = pytest_on(pytester, "silent", ', exceptions={"metadata": " "}')
    assert result.ret == pytest.ExitCode.USAGE_ERROR or "gives no reason" in result.stdout.str() + result.stderr.str()


def test_contract_of_a_plugin_that_is_not_installed_names_the_near_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE.format(name="langauge-no", more=""))
    result = pytester.runpytest("-p", "no:cacheprovider")
    assert result.ret != 0
    assert "No plugin named 'langauge-no' is installed" in result.stdout.str() + result.stderr.str()


def test_command_prints_what_scripts_rely_on(tmp_path: Path, command) -> None:
    done = command(write_plugin(tmp_path, "scripted"), "scripted", "--only", "config strict", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["plugin"], found["passed"], found["failed"], found["excepted"]) == ("scripted", 4, 0, 0)
    assert found["checks"][0]["name"] == "scripted/rows config strict"
    assert found["checks"][0]["status"] == "passed"


def test_command_ends_with_6_when_a_check_fails(tmp_path: Path, command) -> None:
    source = write_plugin(tmp_path, "failing")
    (source / "omnitrain_failing/py.typed").unlink()
    done = command(source, "failing", "--only", "metadata")
    assert done.returncode == 6, done.stderr
    assert "FAILED    metadata\n          The package omnitrain_failing has no file py.typed: add an empty one" in done.stdout


def test_command_takes_exceptions_that_the_plugin_ships(tmp_path: Path, command) -> None:
    source = write_plugin(tmp_path, "shipping")
    (source / "omnitrain_shipping/py.typed").unlink()
    declared = "exceptions:\n  metadata: Its types are not meant to be used.\n"
    (source / "omnitrain_shipping/contract.yaml").write_text(declared)
    done = command(source, "shipping", "--only", "metadata")
    assert done.returncode == 0, done.stderr
    assert "excepted  metadata  (Its types are not meant to be used.)" in done.stdout


def test_package_without_a_paper_is_not_asked_for_claims(tmp_path: Path, command) -> None:
    source = write_plugin(tmp_path, "shared")
    plugin = source / "omnitrain_shared/plugin.py"
    plugin.write_text(plugin.read_text().replace("arXiv 0000.00000", "").replace("        claims=(", "        claims=() and ("))
    (source / "omnitrain_shared/contract.yaml").write_text("exceptions: {paper: A package of shared parts.}\n")
    done = command(source, "shared", "--only", "claims")
    assert done.returncode == 2
    assert "No check of shared has 'claims' in its name" in done.stderr


@pytest.mark.parametrize("text", ["[1, 2]", "settings: 3", "exception: {}", "{"])
def test_malformed_contract_file_is_refused_with_its_name(text: str, tmp_path: Path, command) -> None:
    source = write_plugin(tmp_path, "malformed")
    (source / "omnitrain_malformed/contract.yaml").write_text(text)
    done = command(source, "malformed", "--only", "metadata")
    assert done.returncode == 2, done.stderr
    assert "contract.yaml" in done.stderr
    assert "Traceback" not in done.stderr
