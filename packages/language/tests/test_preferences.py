"""Data of preference pairs, and the references that they are measured against."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FakeContext

from omnitrain.api import UseModel
from omnitrain.cli.failures import guarded
from omnitrain.errors import DataError, UsageError
from omnitrain_language.data.preferences import PreferencesData
from omnitrain_language.preferences import reference
from omnitrain_language.preferences.batches import Pair
from omnitrain_language.preferences.log_probs import pair_log_probs
from omnitrain_language.preferences.reference import reference_log_probs
from omnitrain_testing.tokenizers import FAMILIES, WORDS, make_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    FAMILIES["byte-bpe"](folder)
    return folder


def a_pair(number: int, **more: Any) -> dict[str, Any]:
    words = [WORDS[(number * 5 + place) % len(WORDS)] for place in range(4)]
    return {"prompt": f"{words[0]} {number}", "chosen": " ".join(words[1:3]), "rejected": " ".join(words), **more}


def write(folder: Path, *records: Any) -> str:
    (folder / "pairs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return str(folder / "pairs.jsonl")


def data_of(context: FakeContext, tokenizer: Path, path: str, **settings: Any) -> PreferencesData:
    given = {"template": "plain", "valid_fraction": 0.0, "tokenizer": {"path": str(tokenizer)}, "path": path, **settings}
    data: PreferencesData = context.make("preferences", "data", **given)
    data.prepare(context.workspace, context)
    return data


def model_of(context: FakeContext, data: PreferencesData, **settings: Any) -> Any:
    return context.make("causal", "model", data.facts(), **{"size": "tiny", "max_length": 64, **settings}).eval()


def moved(model: Any) -> Any:
    """Return a model whose trained weights changed."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return model


def given(data: PreferencesData) -> torch.Tensor:
    batch = data.collate(data.examples("train"))
    return torch.stack([batch["reference_chosen"], batch["reference_rejected"]], dim=1)


def own(model: Any, data: PreferencesData) -> torch.Tensor:
    with torch.no_grad():
        found = pair_log_probs(model, data.collate(data.examples("train")))
    return torch.stack([found.chosen.sums, found.rejected.sums], dim=1)


def test_reference_is_the_model_as_it_was_before_training(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    data = data_of(context, tokenizer, write(tmp_path, *map(a_pair, range(5))))
    model = model_of(context, data, lora={"rank": 2})
    moved(model)
    expected = own(model, data)
    data.follow(model)
    moved(model)
    torch.testing.assert_close(given(data), expected)
    assert not torch.allclose(given(data), own(model, data), atol=1e-3)


def test_reference_with_adapters_off_is_the_base(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    data = data_of(context, tokenizer, write(tmp_path, *map(a_pair, range(5))), reference="adapters-off")
    model = model_of(context, data, lora={"rank": 2})
    base = own(model, data)
    trained = own(moved(model), data)
    data.follow(model)
    torch.testing.assert_close(given(data), base)
    assert torch.equal(own(model, data), trained)
    with pytest.raises(UsageError, match="has no adapters that could be switched off"):
        data.follow(model_of(context, data))


def test_a_model_of_its_own_is_a_reference_that_is_let_go_of(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    make_model("byte-bpe", tmp_path / "base")
    use = {"use": "language/causal", "path": str(tmp_path / "base")}
    data = data_of(context, tokenizer, write(tmp_path, *map(a_pair, range(5))), reference=use)
    assert data.against.model == UseModel.model_validate(use)
    data.follow(model_of(context, data))
    torch.testing.assert_close(
        given(data), own(context.make("causal", "model", data.facts(), path=str(tmp_path / "base")), data)
    )


def test_stored_references_stay_with_their_pairs(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    pairs = [a_pair(n, reference_chosen=-1.0 - n, reference_rejected=-2.0 * n) for n in range(5)]
    pairs[2]["chosen"] = " ".join(WORDS)
    path = write(tmp_path, *pairs)
    data = data_of(context, tokenizer, path, reference="stored", malformed="skip", length=20)
    data.follow(model_of(context, data))
    assert given(data).tolist() == [[-1.0 - n, -2.0 * n] for n in (0, 1, 3, 4)]


def test_no_reference_means_no_fields_of_one(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    data = data_of(context, tokenizer, write(tmp_path, *map(a_pair, range(3))), reference="none")
    assert set(data.collate(data.examples("train"))) == set(data.batch)
    assert not any("reference" in name for name in data.batch)


def test_what_was_measured_is_measured_once(
    context: FakeContext, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    measure = reference_log_probs

    def counted(model: Any, pairs: Any, *args: Any, **settings: Any) -> torch.Tensor:
        calls.append(len(pairs))
        return measure(model, pairs, *args, **settings)

    monkeypatch.setattr(reference, "reference_log_probs", counted)
    path = write(tmp_path, *map(a_pair, range(5)))
    data = data_of(context, tokenizer, path)
    model = model_of(context, data)
    data.follow(model)
    again = data_of(context, tokenizer, path)
    again.follow(model_of(context, again))
    assert calls == [5]
    assert torch.equal(given(again), given(data))
    again.follow(moved(model))
    assert calls == [5, 5]


def test_a_set_that_is_made_in_training_is_measured_by_itself(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    data = data_of(context, tokenizer, write(tmp_path, *map(a_pair, range(7))))
    model, pairs = model_of(context, data).train(), data.pairs("train")
    found = reference_log_probs(model, pairs, 0, batch_size=3)
    assert model.training
    torch.testing.assert_close(found, own(model.eval(), data))
    torch.testing.assert_close(reference_log_probs(model, pairs[2:4], 0), found[2:4])
    masked = [
        Pair(pair.chosen, pair.rejected, ([0.0] * len(pair.chosen.reply), [1.0] * len(pair.rejected.reply))) for pair in pairs
    ]
    assert reference_log_probs(model, masked, 0)[:, 0].tolist() == [0.0] * 7


def test_broken_weights_are_named(context: FakeContext, tokenizer: Path, tmp_path: Path) -> None:
    data = data_of(context, tokenizer, write(tmp_path, *map(a_pair, range(2))))
    model = model_of(context, data)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(
        DataError, match=r"gives 4 responses no finite log-probability, the first to the chosen one of pair 0 \(nan\)"
    ):
        data.follow(model)


def test_pairs_that_are_too_long_or_become_equal_are_counted_and_named(
    context: FakeContext, tokenizer: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, a_pair(0), a_pair(1, chosen="mill", rejected="Mill"), a_pair(2, rejected=" ".join(WORDS)), a_pair(3))
    # It makes all letters small.
    FAMILIES["wordpiece"](tmp_path / "wordpiece")
    with pytest.raises(
        DataError, match=r"1 pairs of split train are longer than length 20 .*; the first is .*pairs\.jsonl:3\)"
    ):
        data_of(context, tmp_path / "wordpiece", path, length=20).encoded("train")
    with pytest.raises(DataError, match=r"1 pairs of split train: chosen and rejected are the same tokens .*pairs\.jsonl:2\)"):
        data_of(context, tmp_path / "wordpiece", path).encoded("train")
    with caplog.at_level(logging.WARNING):
        data = data_of(context, tmp_path / "wordpiece", path, length=20, malformed="skip")
        assert [Path(item.place).name for item in data.fitting("train")[0]] == ["pairs.jsonl:1", "pairs.jsonl:4"]
    assert "longer than length 20" in caplog.text
    assert "the same tokens" in caplog.text


def test_a_recipe_goes_from_orpo_to_dpo_with_three_references(tmp_path: Path, tokenizer: Path, capsys: Any) -> None:
    path = write(tmp_path, *map(a_pair, range(12)))
    settings = {"use": "language/preferences", "path": path, "template": "plain", "tokenizer": {"path": str(tokenizer)}}
    fit = {"steps": 2, "batch_size": 4, "log_every": 1, "evaluate_batches": 0, "learning_rate": 1e-3}
    first = {
        "name": "first",
        "use": "core/fit",
        "data": {**settings, "reference": "none"},
        "model": {"use": "language/causal", "size": "tiny", "max_length": 64},
        "objective": {"use": "language/preference", "loss": "orpo"},
        "fit": {**fit, "accumulate": 2},
    }
    later = [
        {
            "name": name,
            "use": "core/fit",
            "data": {**settings, "reference": against},
            "model": {"from": "first", "lora": {"rank": 2}},
            "objective": {"use": "language/preference", "loss": "exo", "label_smoothing": 0.005},
            "fit": fit,
        }
        for name, against in (("off", "adapters-off"), ("copy", {"from": "first"}), ("start", "start"))
    ]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps({"summary": "A test.", "seed": 0, "stages": [first, *later]}), "utf-8")
    assert guarded(["run", str(recipe), "--out", str(tmp_path / "run"), "--quiet"]) == 0, capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text("utf-8").splitlines()]
    for name in ("off", "copy", "start"):
        own_lines = [line for line in lines if line["stage"] == name]
        assert [line["step"] for line in own_lines] == [1, 2]
        # Before the first update the model is its reference: h is 0 and s = 1/2.
        assert abs(own_lines[0]["reward_margin"]) < 1e-5
        assert own_lines[0]["loss"] == pytest.approx(1.9585, abs=1e-3)
    assert "odds_ratio" in next(line for line in lines if line["stage"] == "first")


def test_dpo_without_a_reference_is_refused_before_anything_is_trained(tmp_path: Path, tokenizer: Path, capsys: Any) -> None:
    stage = {
        "name": "train",
        "use": "core/fit",
        "data": {
            "use": "language/preferences",
            "path": write(tmp_path, *map(a_pair, range(12))),
            "template": "plain",
            "tokenizer": {"path": str(tokenizer)},
            "reference": "none",
        },
        "model": {"use": "language/causal", "size": "tiny"},
        "objective": {"use": "language/preference"},
        "fit": {"steps": 1, "batch_size": 4},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps({"summary": "A test.", "stages": [stage]}), "utf-8")
    assert guarded(["run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"), "--quiet"]) == 2
    assert "field 'reference_chosen' (float32[batch]) is missing" in capsys.readouterr().err
