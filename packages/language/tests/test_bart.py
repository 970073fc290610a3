"""BART: random weights of its own, and models by path whose decoder starts and texts begin as their configuration says."""

import json

import numpy as np
import pytest
import torch
from bart import write_bart, write_tokenizer
from conftest import FakeContext
from transformers import AutoModelForSeq2SeqLM, BartForConditionalGeneration

from omnitrain.errors import DataError, UsageError
from omnitrain_language.belonging import check_start
from omnitrain_language.configs.models import T5Config
from omnitrain_language.data.pairs import collate_encoder_decoder
from omnitrain_language.models import build_t5
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_testing.running import run_recipe
from omnitrain_testing.tokenizers import WORDS

START, FRONT, END, PAD = 2, 0, 2, 1


def write_pairs(folder, count=40):
    path = folder / "pairs.jsonl"
    lines = [{"inputs": " ".join(WORDS[i % 9 : i % 9 + 3]), "targets": WORDS[i % 20]} for i in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def pairs(context, path, **settings):
    data = context.make("pairs", "data", path=str(path), inputs_length=16, targets_length=16, **settings)
    data.prepare(context.workspace, context)
    return data


def test_large_has_the_published_number_of_weights():
    with torch.device("meta"):
        model = build_t5(T5Config(size="large", style="bart"), FakeContext(None))
    assert sum(p.numel() for p in model.parameters()) == 406_291_456
    assert isinstance(model, BartForConditionalGeneration)
    assert (model.config.encoder_layers, model.config.d_model, model.config.max_position_embeddings) == (12, 1024, 1024)
    with pytest.raises(ValueError, match="size xl is T5's; style bart has tiny, mini, small, base and large"):
        T5Config(size="xl", style="bart")


def test_targets_begin_as_the_model_by_path_has_it(tmp_path):
    write_bart(tmp_path / "model", forced_bos_token_id=0)
    context = FakeContext(tmp_path / "workspace", model_source=str(tmp_path / "model"))
    data = pairs(context, write_pairs(tmp_path))
    batch = data.gather("train", np.arange(4))
    labels, inputs = batch["labels"], batch["decoder_input_ids"]
    assert (inputs[:, 0] == START).all()
    assert (labels[:, 0] == FRONT).all()
    assert torch.equal(inputs[:, 1:], labels[:, :-1])
    assert (batch["input_ids"][:, 0] == FRONT).all()
    facts = data.facts()
    assert (facts["decoder_start_id"], facts["target_start_ids"]) == (START, [FRONT])
    model = build_t5(T5Config(path=str(tmp_path / "model")), FakeContext(tmp_path, facts))
    loss = context.make("seq2seq-nll", "objective", facts)(model.eval(), batch)
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        labels=torch.where(batch["loss_weights"] > 0, labels, -100),
    )
    torch.testing.assert_close(loss.total / loss.weight, logits.loss)
    tokenizer = load_tokenizer(tmp_path / "model")
    prompt = LanguagePredictor(model, tokenizer).prompt_ids(next(data.records("train"))["inputs"])
    assert batch["input_ids"][0][batch["attention_mask"][0]].tolist() == prompt


def test_a_new_model_takes_the_start_that_its_data_tell(tmp_path):
    data = pairs(FakeContext(tmp_path / "workspace"), write_pairs(tmp_path), tokenizer={"vocabulary_size": 300})
    facts = data.facts()
    assert facts["target_start_ids"] == []
    model = build_t5(T5Config(size="tiny", style="bart", max_length=32), FakeContext(tmp_path, facts))
    assert model.config.decoder_start_token_id == facts["decoder_start_id"] == facts["pad_id"]
    assert model.config.forced_eos_token_id == facts["eos_id"]
    alone = build_t5(
        T5Config(size="tiny", style="bart"), FakeContext(tmp_path, {"pad_id": 3, "eos_id": 7, "vocabulary_size": 20})
    )
    assert alone.config.decoder_start_token_id == alone.generation_config.decoder_start_token_id == 7
    same = build_t5(T5Config(size="tiny", style="bart", max_length=32), FakeContext(tmp_path, facts))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), same.parameters(), strict=True))


def test_data_of_another_start_are_refused(tmp_path):
    write_bart(tmp_path, forced_bos_token_id=0)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForSeq2SeqLM.from_pretrained(str(tmp_path)).eval()
    with pytest.raises(UsageError, match=r"data start the decoder from id 1, the model from 2 \(decoder_start_token_id\)"):
        check_start(model, {"decoder_start_id": PAD, "target_start_ids": [FRONT]})
    with pytest.raises(UsageError, match=r"begins every text with id 0 \(forced_bos_token_id\), the data's targets do not"):
        check_start(model, {"decoder_start_id": START, "target_start_ids": []})
    check_start(model, {"decoder_start_id": START, "target_start_ids": [FRONT]})
    batch = collate_encoder_decoder([np.asarray([5, 2])], [np.asarray([6, 2])], PAD)
    nll = FakeContext(tmp_path).make("seq2seq-nll", "objective")
    with pytest.raises(UsageError, match="batches start the decoder from id 1, the model from 2"):
        nll(model, batch)
    packed = collate_encoder_decoder([np.asarray([5, 2])], [np.asarray([6, 2])], PAD, START)
    segments = {name: torch.ones_like(packed["labels"]) for name in ("input_segment_ids", "target_segment_ids")}
    with pytest.raises(UsageError, match="the rows are packed, and this model's positions would count on"):
        FakeContext(tmp_path).make("seq2seq-nll", "objective")(model, {**packed, **segments})


def test_recipes_fine_tune_a_bart_by_path_and_one_from_scratch_and_let_them_write(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNITRAIN_CACHE", str(tmp_path / "cache"))
    write_bart(tmp_path / "model", forced_bos_token_id=0)
    path = write_pairs(tmp_path)
    data = {"use": "language/pairs", "path": str(path), "inputs_length": 16, "targets_length": 16}
    fit = {"steps": 3, "batch_size": 4, "learning_rate": 1e-3, "evaluate_batches": 1}
    samples = {"use": "language/samples", "count": 2, "max_new_tokens": 4, "num_beams": 2, "skip_special_tokens": False}
    base = {"use": "core/fit", "objective": "language/seq2seq-nll", "fit": fit, "evaluators": [samples]}
    lora = {"use": "language/t5", "path": str(tmp_path / "model"), "lora": {"rank": 2, "target_modules": ["q_proj"]}}
    new = {"use": "language/t5", "style": "bart", "size": "tiny", "max_length": 32}
    stages = [
        {"name": "tuned", **base, "data": data, "model": {"use": "language/t5", "path": str(tmp_path / "model")}},
        {"name": "again", **base, "data": data, "model": {"from": "tuned"}},
        {"name": "adapted", **base, "data": data, "model": lora},
        {"name": "more", **base, "data": data, "model": {"from": "adapted"}},
        {"name": "scratch", **base, "data": {**data, "tokenizer": {"vocabulary_size": 300}}, "model": new},
    ]
    finished = run_recipe({"summary": "BART.", "seed": 0, "stages": stages}, tmp_path / "run")
    for stage in ("tuned", "again", "adapted", "more", "scratch"):
        assert (tmp_path / "run" / stage / "model").is_dir()
    assert finished is not None


def test_vocabulary_and_merges_alone_are_refused_with_what_to_write(tmp_path):
    write_tokenizer(tmp_path / "whole")
    content = json.loads((tmp_path / "whole" / "tokenizer.json").read_text("utf-8"))["model"]
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "vocab.json").write_text(json.dumps(content["vocab"]), "utf-8")
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in content["merges"]]
    (bare / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    with pytest.raises(DataError, match=r"vocab\.json and merges\.txt alone don't tell which tokenizer") as refused:
        load_tokenizer(bare)
    assert '{"tokenizer_class": "BartTokenizer"}' in str(refused.value)
    (bare / "tokenizer_config.json").write_text('{"tokenizer_class": "BartTokenizer"}', "utf-8")
    found, whole = load_tokenizer(bare), load_tokenizer(tmp_path / "whole")
    assert found("the old mill").input_ids == whole("the old mill").input_ids
