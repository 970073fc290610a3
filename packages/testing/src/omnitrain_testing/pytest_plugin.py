"""The pytest plugin: one test for every check of a contract, and what was excepted and noted at the end.

Every pytest session of an environment with this package loads this module, so it imports nothing heavy at its top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from omnitrain_testing.contract import ATTRIBUTE

if TYPE_CHECKING:
    from omnitrain_testing.chat_server import ChatServer
    from omnitrain_testing.examination import Examination
    from omnitrain_testing.findings import Check, Result

_EXAMINATIONS = pytest.StashKey[list[Any]]()
_RESULTS = pytest.StashKey[list[Any]]()


class _Bound:
    """One check of one plugin, as the test calls it."""

    def __init__(self, examination: Examination, check: Check, results: list[tuple[str, Result]]) -> None:
        self._examination, self._check, self._results = examination, check, results

    def __call__(self) -> None:
        __tracebackhide__ = True
        from omnitrain_testing.findings import carry_out

        result = carry_out(self._check, self._examination)
        self._results.append((self._examination.state.name, result))
        if result.status == "excepted":
            pytest.xfail(f"{result.reason} ({' '.join(result.problems)})")
        if result.status == "failed":
            pytest.fail("\n".join(result.problems), pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark that keeps the checks of a contract in one process, also where pytest-xdist is not installed."""
    config.addinivalue_line("markers", "xdist_group(name): tests that pytest-xdist runs in one process")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a contract into one test a check. Golden files are looked for beside the test module as well."""
    declared = getattr(metafunc.function, ATTRIBUTE, None)
    if declared is None:
        return
    from omnitrain.errors import OmnitrainError
    from omnitrain_testing.collecting import checks_of
    from omnitrain_testing.examination import Examination

    golden = Path(str(metafunc.module.__file__)).with_name("golden")
    if declared.golden is None and golden.is_dir():
        declared = replace(declared, golden=golden)
    try:
        examination = Examination(declared)
    except OmnitrainError as error:
        raise pytest.UsageError(str(error)) from error
    stash = metafunc.config.stash
    stash.setdefault(_EXAMINATIONS, []).append(examination)
    results: list[tuple[str, Result]] = stash.setdefault(_RESULTS, [])
    checks = checks_of(examination)
    bound = [_Bound(examination, check, results) for check in checks]
    # The checks share runs of the recipe tiny, which every process would make anew.
    group = pytest.mark.xdist_group(f"contract of {declared.plugin}")
    rows = [pytest.param(one, marks=group) for one in bound]
    metafunc.parametrize("contract_check", rows, ids=[check.name for check in checks])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes and remove the folders of the examinations."""
    for examination in config.stash.get(_EXAMINATIONS, []):
        examination.close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show every exception with its reason, and the notes."""
    results: list[tuple[str, Result]] = config.stash.get(_RESULTS, [])
    lines = [f"{plugin}: {r.name}: excepted: {r.reason}" for plugin, r in results if r.status == "excepted"]
    lines += [f"{plugin}: {r.name}: {note}" for plugin, r in results for note in r.notes]
    if lines:
        terminalreporter.section("omnitrain contract")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def chat_server() -> Iterator[ChatServer]:
    """A server in OpenAI's form on this machine; see omnitrain_testing.chat_server."""
    from omnitrain_testing.chat_server import ChatServer

    with ChatServer() as server:
        yield server
