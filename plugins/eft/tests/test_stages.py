"""What a user is told: tokenizers that differ, extra rows, an expert without its base, NaN, empty and over-long prompts."""

import json
import random

import pytest
import torch
from helpers import VOCABULARY, WORDS, compose, gpt2, save

from omnitrain.cli import run
from omnitrain.errors import DataError, UsageError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Saved models: a large base, a small base, a fine-tuned one, one with more rows, one with another tokenizer."""
    root = tmp_path_factory.mktemp("pair")
    permuted = [*WORDS[:10], WORDS[11], WORDS[10], *WORDS[12:]]
    return {
        "large": save(gpt2(2, 32, 0, positions=64), root / "large"),
        "small": save(gpt2(1, 16, 1), root / "small"),
        "expert": save(gpt2(1, 16, 2), root / "expert"),
        "longer": save(gpt2(1, 16, 2, vocabulary=VOCABULARY + 3), root / "longer", [*WORDS, "<a>", "<b>", "<c>"]),
        "permuted": save(gpt2(1, 16, 2), root / "permuted", permuted),
    }


def paths(folders, **names):
    return {member: {"path": folders[name]} for member, name in names.items()}


@pytest.fixture(scope="module")
def composed(folders, tmp_path_factory):
    return compose(
        tmp_path_factory.mktemp("run") / "out", **paths(folders, large="large", small="small", expert="longer"), block_size=2
    )


def test_a_different_tokenizer_is_refused_with_the_first_difference(folders, tmp_path):
    with pytest.raises(DataError, match=r"the composition and expert-0 differ: id 10 is 'w8' there and 'w9' here"):
        compose(tmp_path / "run", **paths(folders, large="large", small="small", expert="permuted"))


def test_extra_vocabulary_rows_are_cut_and_told(composed):
    events = [json.loads(line) for line in (composed / "events.jsonl").read_text("utf-8").splitlines()]
    told = [event for event in events if event["event"] == "extra rows cut"]
    assert [(event["member"], event["rows"], event["kept"]) for event in told] == [("expert-0", 3, VOCABULARY)]


def test_an_expert_without_its_base_is_refused(folders, tmp_path):
    with pytest.raises(UsageError, match=r"expert-0 stands without its base: .* name the model that it was tuned from"):
        compose(tmp_path / "run", {"path": folders["large"]}, None, {"path": folders["expert"]})


def test_a_member_whose_weights_at_its_path_were_replaced_is_refused(folders, tmp_path, capsys):
    expert = save(gpt2(1, 16, 2), tmp_path / "expert")
    out = compose(tmp_path / "run", **paths(folders, large="large", small="small"), expert={"path": expert})
    ask = ["generate", str(out), "--prompt", "w3", "--max-new-tokens", "2"]
    assert run(ask) == 0
    save(gpt2(1, 16, 3), tmp_path / "expert")
    assert run(ask) == 4
    told = capsys.readouterr().err
    assert "the member expert-0 of the composition in" in told
    assert "had other weights than those in" in told
    assert "put back the weights with the digests in" in told
    next(out.rglob("member_weights.json")).unlink()
    assert run(ask) != 0


def test_an_empty_and_an_over_long_prompt_are_named(composed, capsys):
    words = " ".join(random.Random(0).choices(WORDS[2:], k=70))
    for prompt, message in (
        ("  ", "a prompt is empty: give some text to continue"),
        (words, "prompt 0 has 70 tokens for large; with max_new_tokens 8 that is more than the model's 64 positions"),
    ):
        assert run(["generate", str(composed), "--prompt", prompt, "--max-new-tokens", "8"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("block", ["0", "2"])
@pytest.mark.parametrize("member", ["large", "small", "expert"])
def test_a_nan_logit_of_any_model_is_named(folders, tmp_path, capsys, member, block):
    poisoned = gpt2(1, 16, 5)
    poisoned.transformer.wte.weight[7, 3] = torch.nan
    broken = {**folders, member: save(poisoned, tmp_path / "nan")}
    out = compose(tmp_path / "run", **paths(broken, large="large", small="small", expert="expert"))
    assert run(["generate", str(out), "--prompt", "w2", "--block-size", block, "--max-new-tokens", "4"]) != 0
    assert "the combined logits hold NaN or infinity" in capsys.readouterr().err
