"""The README's recipe and commands work as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted({line.split()[1] for line in re.findall(r"omnitrain (?!--)[a-z-]+", README)})


def omnitrain(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "omnitrain", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_readme_exists(command: str, tmp_path: Path) -> None:
    done = omnitrain(command, "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_recipe_of_the_readme_trains_across_plugins(tmp_path: Path) -> None:
    recipe = re.search(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert recipe is not None
    (tmp_path / "mine.yaml").write_text(recipe[1], encoding="utf-8")
    (tmp_path / "my_texts").mkdir()
    for number in range(40):
        words = " ".join(f"word{(number * 7 + position * position) % 31}" for position in range(200))
        (tmp_path / "my_texts" / f"{number}.txt").write_text(words, encoding="utf-8")
    smaller = ["pretrain.fit.steps=2", "pretrain.fit.batch_size=2"]

    dry = omnitrain("run", "mine.yaml", "--dry-run", *smaller, folder=tmp_path)
    assert dry.returncode == 0, dry.stderr
    assert not (tmp_path / "runs").exists()

    done = omnitrain("run", "mine.yaml", "--out", "out", *smaller, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "S(0.25)" in done.stdout, "the result of UL2's evaluator on one denoiser"
    assert {"metrics.jsonl", "recipe.lock.yaml", "report.html"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert (tmp_path / "out" / "pretrain" / "model" / "model.safetensors").is_file()
