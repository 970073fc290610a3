"""docs/tutorial.md from its first command to its last, in an environment of its own that has no network."""

import ast
import os
import re
import shlex
import subprocess
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspace import ROOT

PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED_FILE = re.compile(r"`(omnitrain-smooth/[^`]+)`")
EVIDENCE = 6


def steps() -> Iterator[tuple[str, str, str]]:
    """Language and text of every block, and the file that the page named last before it."""
    for block in BLOCK.finditer(PAGE):
        named = NAMED_FILE.findall(PAGE[: block.start()])
        yield block["language"], block["text"], named[-1] if named else ""


def functions(source: str) -> list[tuple[str, int, int]]:
    """Name, first line and last line of every function, decorators included, numbered from 0 to one past the last."""
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    firsts = [min(part.lineno for part in (node, *node.decorator_list)) - 1 for node in found]
    return [(node.name, first, node.end_lineno or first) for node, first in zip(found, firsts, strict=True)]


def replaced(source: str, block: str) -> str:
    """Source with the functions of a block in the places of as many, from the one of the first's name or the first on."""
    old, new = functions(source), functions(block)
    names = [name for name, _, _ in old]
    at = names.index(new[0][0]) if new[0][0] in names else 0
    lines = source.splitlines(keepends=True)
    return "".join([*lines[: old[at][1]], block, *lines[old[at + len(new) - 1][2] :]])


class Reader:
    """Somebody who follows the page."""

    def __init__(self, folder: Path) -> None:
        """Make an environment whose own packages come before those that the tests run with, as pip sees them too."""
        self.folder = folder
        home = folder / "environment"
        venv.create(home, symlinks=os.name != "nt")
        self.python = str(home / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        packages = next(home.rglob("site-packages"))
        (packages / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        # Without isolation pip builds with what is installed; "0" is how its variable is said to turn isolation off.
        pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_CONFIG_FILE": os.devnull}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        self.environment = {**kept, **pip}

    def types(self, line: str) -> tuple[int, str]:
        """Run a command of the page; return its exit code and all that it printed."""
        words = shlex.split(line, comments=True)
        assert words[0] in ("omnitrain", "pytest")
        command = [self.python, "-m", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.returncode, done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """Somebody in an empty folder."""
    return Reader(tmp_path)


def test_tutorial_works_from_its_first_command_to_its_last(reader: Reader) -> None:
    code, said = 0, ""
    failed = ""
    for language, text, file in steps():
        if language == "text":
            assert text.rstrip() in said
            assert (code, failed != "") == (EVIDENCE, True)
            failed = ""
            continue
        assert failed == "", f"{failed} ended with exit code {code}:\n{said}"
        if language == "sh":
            for line in text.splitlines():
                assert failed == "", f"{failed} ended with exit code {code}:\n{said}"
                code, said = reader.types(line)
                failed = line if code else ""
        else:
            path = reader.folder / file
            path.write_text(text if language == "json" else replaced(path.read_text("utf-8"), text), encoding="utf-8")
    assert failed == "", f"{failed} ended with exit code {code}:\n{said}"

    assert re.search(r"^smooth ", said, re.MULTILINE) is None, "smooth is still listed"
    readme = (reader.folder / "omnitrain-smooth/README.md").read_text(encoding="utf-8")
    assert re.search(r"^\| \*\*C1\*\*", readme, re.MULTILINE), "the claim is not in the README's table"
    assert (reader.folder / "runs/smooth/report.html").is_file()
