"""What the documents at the top promise is there: links lead somewhere, and CI runs what README.md says."""

import re
import subprocess

import pytest

from workspace import ROOT, find_packages

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents() -> list[str]:
    """Names of the Markdown files that are, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return sorted(name for name in set(names) if (ROOT / name).is_file())


def anchors(text: str) -> set[str]:
    """Anchors of the headings, made as on GitHub: lower case, punctuation dropped, spaces as hyphens."""
    headings = re.findall(r"^#+ +(.+?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", documents())
def test_relative_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    broken = []
    for link in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert broken == []


def test_ci_runs_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:python3|\.venv/bin/nox)\b.*", (ROOT / ".ci/run").read_text(encoding="utf-8"), re.MULTILINE)
    shown = [command.split(" || ")[0] for command in commands if ".ci/" not in command]
    assert len(shown) == 2
    assert [command for command in shown if not re.search(rf"(^|`){re.escape(command)}(`|$| +#)", readme, re.MULTILINE)] == []


def test_readme_lists_every_package() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [package.slug for package in find_packages().values() if f"`{package.distribution}`" not in readme]
    assert missing == []


def test_index_links_the_readme_of_every_package() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    places = [package.path.relative_to(ROOT).as_posix() for package in find_packages().values()]
    assert [place for place in places if f"(../{place}/README.md)" not in index] == []


def test_architecture_lists_the_packages_and_folders_that_there_are() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    block = re.search(r"^## Layout\n+```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    listed: dict[str, set[str]] = {}
    top = ""
    for line in block[1].splitlines():
        if line.startswith(" "):
            listed[top] |= set(re.findall(r"(?<![\w`])([a-z0-9]+)/(?=\s)", f"{line} "))
        else:
            top = line.split()[0].rstrip("/")
            listed[top] = set()
    assert all((ROOT / name).exists() for name in listed)
    for kind in ("packages", "plugins"):
        assert listed[kind] == {package.slug for package in find_packages().values() if package.kind == kind}


def test_architecture_names_every_folder_of_core() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.search(r"^\| folder of core \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    assert rows is not None
    named = {name for row in rows[0].split("\n")[2:] if row for name in re.findall(r"`([a-z]+)`", row.split("|")[1])}
    folders = {init.parent.name for init in (ROOT / "core/src/omnitrain").glob("*/__init__.py")}
    assert named == folders


def test_every_promise_of_the_page_on_reliability_names_a_test_that_there_is() -> None:
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## What others do")[0].splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith("| fault |")]
    assert len(promises) > 30
    for row in promises:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
