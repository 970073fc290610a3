"""The recipes and commands that docs/ shows are accepted as they stand."""

import re
import runpy
import shlex
from pathlib import Path

import click
import pytest

from omnitrain.cli.group import omnitrain, plugin_commands
from omnitrain.cli.table import COMMANDS
from omnitrain.plugins import installed
from omnitrain.recipes import load_recipe
from omnitrain.recipes.reading import read_text
from omnitrain.report.drawing import figures
from omnitrain.runs.evaluations import read_evaluation, write_evaluation
from workspace import ROOT

PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
OF_THE_PAGE = "sums"  # the plugin that docs/writing-a-plugin.md builds; test_third_party.py runs its commands and recipes


def blocks(language: str) -> list[tuple[str, int, str]]:
    """Page, line and text of every fenced block of a language."""
    found = []
    for name, text in PAGES.items():
        for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            found.append((name, text[: match.start()].count("\n") + 2, match[1]))
    return found


def commands() -> list[tuple[str, list[str]]]:
    """Every `omnitrain` command of the pages' shell blocks with its place, without redirections."""
    found = []
    for name, first, text in blocks("sh"):
        for number, line in enumerate(text.splitlines(), first):
            words = shlex.split(line, comments=True)
            if words[:1] == ["omnitrain"]:
                found.append((f"{name}:{number}", words[1 : words.index(">") if ">" in words else None]))
    return found


@pytest.mark.parametrize(
    ("name", "line", "text"),
    [b for b in blocks("yaml") if re.search("^(stages|base):", b[2], re.MULTILINE) and OF_THE_PAGE not in b[2]],
)
def test_recipe_of_the_docs_resolves(name: str, line: int, text: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("\n" * (line - 1) + text, encoding="utf-8")
    rows = read_text(text, name).value.get("variants", {})
    for place in [str(file), *(f"{file}#{row}" for row in rows)]:
        assert load_recipe(place).stages


def test_python_of_the_page_on_measures_runs_and_its_figures_are_drawn(tmp_path: Path) -> None:
    for _, line, text in (block for block in blocks("python") if block[0] == "measures.md"):
        file = tmp_path / "measures.py"
        file.write_text("\n" * (line - 1) + text, encoding="utf-8")
        names = runpy.run_path(str(file))
        if "found" in names:
            write_evaluation(tmp_path, f"line {line}", None, names["found"])
    drawn = [chart for path in sorted(tmp_path.glob("*.json")) for chart in figures(read_evaluation(path), tmp_path)]
    assert len(drawn) == 8
    assert not [chart.title for chart in drawn if "damaged" in chart.drawing or "missing" in chart.drawing]


@pytest.mark.parametrize(("place", "words"), commands())
def test_command_of_the_docs_is_understood(place: str, words: list[str]) -> None:
    assert words[0] in {*COMMANDS, *plugin_commands()}
    with click.Context(omnitrain, info_name="omnitrain") as parent:
        command = omnitrain.get_command(parent, words[0])
        assert command is not None
        context = command.make_context(words[0], list(words[1:]), parent=parent)
    target = context.params.get("target", "")
    if words[0] == "run" and target.partition("/")[0] in installed().plugins:
        assert load_recipe(target, list(context.params["overrides"])).stages


def test_docs_name_every_exit_code_and_only_commands_that_exist() -> None:
    from omnitrain import errors

    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.OmnitrainError)}
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["first-run.md"], re.MULTILINE)}
    assert table >= codes
    named = {word for text in PAGES.values() for word in re.findall(r"`omnitrain ([a-z][a-z-]*)", text)}
    assert named <= {*COMMANDS, *plugin_commands()}


def test_docs_name_every_ability_of_the_interface() -> None:
    from omnitrain.api import protocols

    abilities = {
        n
        for n, c in vars(protocols).items()
        if getattr(c, "_is_runtime_protocol", False) and c.__module__ == protocols.__name__
    }
    missing = {name for name in abilities - {"Data"} if f"`{name}`" not in PAGES["architecture.md"]}
    assert missing == set()
