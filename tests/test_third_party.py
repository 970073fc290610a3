"""docs/writing-a-plugin.md as a stranger would follow it: its files, installed elsewhere, run by its commands."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import Command

from workspace import ROOT

PAGE = (ROOT / "docs/writing-a-plugin.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([^`\n]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
SHELL = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Command:
    """The command in an environment where the page's plugin is installed beside the others, from its wheel.

    The wheel is built by the page's own build backend and unpacked, which is all that installing a pure wheel is; so
    neither pip nor an index is needed, and the environment of the other tests stays as it is.
    """
    source, target = tmp_path_factory.mktemp("omnitrain-sums"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")
    built = subprocess.run([sys.executable, "-c", BUILD, str(target)], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    wheel = target / built.stdout.split()[-1]
    zipfile.ZipFile(wheel).extractall(target)
    wheel.unlink()
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    return Command(tmp_path_factory.mktemp("folder"), PYTHONPATH=path)


def losses(run: Path, split: str) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if line["split"] == split]


def test_page_shows_every_file_of_its_tree() -> None:
    tree = re.search(r"^omnitrain-sums/\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert tree is not None
    assert list(FILES) == [line.split()[0] for line in tree[1].splitlines()]


def test_plugin_of_the_page_is_listed_and_described(stranger: Command) -> None:
    listed = {plugin["name"]: plugin for plugin in json.loads(stranger("plugins", "--json").stdout)}
    assert listed["sums"]["status"] == "ok", listed["sums"]["reason"]
    assert [recipe["address"] for recipe in listed["sums"]["recipes"]] == ["sums/mini", "sums/denoising"]
    settings = json.loads(stranger("info", "sums/focal", "--json").stdout)["settings"]
    assert [(setting["key"], setting["default"]) for setting in settings] == [("gamma", "2.0")]
    assert "Paper: 2" in settings[0]["description"]


def test_commands_of_the_page_work_and_training_lowers_the_loss(stranger: Command) -> None:
    commands = [line.partition("#")[0].split() for block in SHELL for line in block.splitlines()]
    ours = [command[1:] for command in commands if command[0] == "omnitrain"]
    assert [command[0] for command in ours] == ["plugins", "info", "info", "run", "run", "generate", "run"]
    printed = {" ".join(command): stranger(*command).stdout for command in ours}

    assert printed["run sums --dry-run"].count("inputs: ") == 3
    assert re.fullmatch(r"[0-9+]*\n", printed["generate runs/sums --prompt 12+9"])
    for name in ("sums", "denoising"):
        training = losses(stranger.folder / "runs" / name, "train")
        assert all(0 < loss < 10 for loss in training)
        assert training[-1] < 0.9 * training[0]
        assert 0 < losses(stranger.folder / "runs" / name, "valid")[-1] < 0.95 * training[0]
        assert (stranger.folder / "runs" / name / "train/model/model.safetensors").is_file()


# Messages of the page's table of errors: a change of the files or of a recipe that gives each.
MISTAKES = {
    "unknown key": (2, "gamma: 2.0", "gama: 2.0", "mini.yaml:8: train.objective.gama: unknown key. Did you mean 'gamma'?"),
    "fields": (
        2,
        "{use: sums/sums, largest: 30}",
        "{use: language/blocks, text: {use: language/text, max_documents: 150}, tokenizer: {vocabulary_size: 300}}",
        "The batches of language/blocks do not fit the objective sums/focal: field 'attention_mask' ",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gives_the_message_of_the_page(mistake: str, stranger: Command) -> None:
    code, before, after, said = MISTAKES[mistake]
    recipe = FILES["src/omnitrain_sums/recipes/mini.yaml"]
    assert before in recipe
    (stranger.folder / "mini.yaml").write_text(recipe.replace(before, after), encoding="utf-8")
    done = stranger("run", "mini.yaml", "--out", f"runs/{mistake}", code=code)
    assert said in done.stderr
    assert said.removesuffix(" ") in PAGE


@pytest.mark.parametrize(
    ("before", "after", "status", "reason"),
    [
        ('name="sums",\n        summary="Sums as', 'name="sum",\n        summary="Sums as', "broken", "calls itself 'sum'"),
        ('api="1.1"', 'api="2.0"', "incompatible", "was written for interface 2.0, this core offers 1.1"),
    ],
)
def test_faulty_plugin_is_a_line_with_the_reason_of_the_page(
    before: str, after: str, status: str, reason: str, stranger: Command, tmp_path: Path
) -> None:
    text = FILES["src/omnitrain_sums/plugin.py"]
    assert before in text
    assert reason in PAGE
    (tmp_path / "omnitrain_sums").mkdir()
    (tmp_path / "omnitrain_sums/__init__.py").write_text("")
    (tmp_path / "omnitrain_sums/plugin.py").write_text(text.replace(before, after), encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), stranger.environment["PYTHONPATH"]])
    listed = json.loads(Command(tmp_path, PYTHONPATH=path)("plugins", "--json").stdout)
    found = {plugin["name"]: plugin for plugin in listed}
    assert found["sums"]["status"] == status
    assert reason in found["sums"]["reason"]
    assert {found[name]["status"] for name in ("core", "language", "ul2")} == {"ok"}
