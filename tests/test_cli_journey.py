"""From the first run to a finished one: the real command in processes of its own, with UL2's tiny recipe."""

import hashlib
import json
import re
import signal
from pathlib import Path

import pytest
from conftest import Command

RECIPE = ("ul2/tiny", "pretrain.fit.steps=100", "span-corruption.fit.steps=60")


@pytest.fixture(scope="module")
def whole(omnitrain: Command) -> Path:
    """An uninterrupted run."""
    omnitrain("run", *RECIPE, "--out", "runs/whole")
    return omnitrain.folder / "runs/whole"


@pytest.fixture(scope="module")
def interrupted(omnitrain: Command) -> Path:
    """A run that was stopped in its first and in its second stage, and gone on with each time."""
    out = omnitrain.folder / "runs/interrupted"
    for command, stage in ((RECIPE, "pretrain"), ((out,), "span-corruption")):
        code, printed = omnitrain.signalled("run", *command, "--out", out, at=f"{stage}: training", number=signal.SIGTERM)
        assert code == 75, printed
        assert f"go on with 'omnitrain run {out}'" in printed
        assert json.loads((out / stage / "stage.json").read_text())["status"] == "running"
        assert not (out / stage / "model").exists()
    omnitrain("run", out)
    return out


def weights(run: Path) -> dict[str, str]:
    files = sorted(run.glob("*/model/*.safetensors"))
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_stopped_and_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(whole: Path, interrupted: Path) -> None:
    assert len(weights(whole)) == 3
    assert weights(interrupted) == weights(whole)
    assert (interrupted / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    resumed = [line for line in (interrupted / "events.jsonl").read_text().splitlines() if '"resumed"' in line]
    assert [json.loads(line)["stage"] for line in resumed] == ["pretrain", "span-corruption"]


def test_report_is_one_page_that_loads_nothing(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert "worst-case regret" in page
    assert "<svg" in page
    assert not re.search(r"<script|<link|<iframe|@import|\b(src|href|action)\s*=\s*+[\"']?+(?!#|data:)", page)
    assert not re.search(r"url\(\s*+[\"']?+(?!#|data:)", page)


def test_lock_file_is_a_recipe_that_gives_the_same_run(omnitrain: Command, whole: Path) -> None:
    before = (whole / "metrics.jsonl").read_bytes()
    done = omnitrain("run", whole / "recipe.lock.yaml", "--out", whole)
    assert "finished before" in done.stderr
    assert "training" not in done.stderr
    assert (whole / "metrics.jsonl").read_bytes() == before


def test_runs_lists_both_as_finished(omnitrain: Command, whole: Path, interrupted: Path) -> None:
    listed = json.loads(omnitrain("runs", "--json").stdout)
    assert {(Path(run["out"]).name, run["status"]) for run in listed} == {("whole", "finished"), ("interrupted", "finished")}
    regret = {metric for run in listed for stage in run["stages"] for metric in stage["metrics"] if "regret" in metric}
    assert len(regret) == 2


def test_generate_writes_from_the_model_of_a_stage(omnitrain: Command, whole: Path) -> None:
    prompt = "[S] The function returns"
    command = ("generate", whole / "pretrain/model", "--prompt", prompt, "--set", "max_new_tokens=4", "--json")
    first, second = (json.loads(omnitrain(*command).stdout) for _ in range(2))
    assert first == second
    assert [(entry["prompt"], type(entry["text"])) for entry in first] == [(prompt, str)]


def test_transformers_loads_the_model_by_itself(whole: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(whole / "pretrain/model", use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(whole / "pretrain/model")
    batch = tokenizer(["[S] a b c"], return_tensors="pt")
    logits = model(**batch, decoder_input_ids=batch.input_ids[:, :1]).logits
    assert logits.shape == (1, 1, len(tokenizer))
    assert logits.isfinite().all()


def test_settings_of_a_finished_run_are_protected(omnitrain: Command, whole: Path) -> None:
    done = omnitrain("run", *RECIPE, "seed=1", "--out", whole, code=2)
    assert "seed: 0 -> 1" in done.stderr
    assert "--force" in done.stderr


def test_parity_of_ul2_holds(omnitrain: Command) -> None:
    found = json.loads(omnitrain("parity", "ul2", "--json").stdout)
    assert found["failed"] == 0
    assert found["passed"] > 0


MISTAKES = {
    "unknown setting": (2, ["ul2/tiny", "pretrain.fit.step=1"], "Did you mean 'steps'?"),
    "unknown stage": (2, ["ul2/tiny", "pretrian.fit.steps=1"], "Did you mean 'pretrain'?"),
    "wrong type": (2, ["ul2/tiny", "pretrain.fit.steps=many"], "expected a valid integer; found 'many'"),
    "unknown component": (2, ["ul2/tiny", "pretrain.data.use=ul2/denoisng"], "Did you mean 'ul2/denoising'"),
    "unknown recipe": (2, ["ul2/tin"], "Did you mean 'ul2/tiny'"),
    "no such file": (2, ["absent.yaml"], "absent.yaml: there is no such file"),
    "batch does not fit": (2, ["ul2/tiny", "pretrain.data.layout=decoder-only"], "field 'decoder_input_ids' "),
    "plugin not installed": (3, ["ul3"], "Did you mean 'ul2'? 'omnitrain plugins' lists what is installed."),
    "text is not there": (4, ["language/tiny", "pretrain.data.text.path=absent.txt"], "absent.txt: no such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_ends_with_its_code_and_says_what_to_do(mistake: str, tmp_path: Path, omnitrain: Command) -> None:
    code, arguments, said = MISTAKES[mistake]
    done = Command(tmp_path)("run", *arguments, "--out", "out", "--quiet", code=code)
    assert said in done.stderr
    assert not (tmp_path / "out/pretrain/model").exists()
