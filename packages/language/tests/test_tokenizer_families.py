"""Tokenizers of the six families that people bring, each with a model of its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import FakeContext

from omnitrain.errors import UsageError
from omnitrain_language.chat_templates import turn_end
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.detokenising import TextStream, continuation, token_texts
from omnitrain_language.encoding import Encoder, special_ids, start_ids, vocabulary_size
from omnitrain_language.ends import end_ids
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.tokenizers import load_tokenizer, pad_id, prepare_tokenizer
from omnitrain_testing.tokenizers import FAMILIES, documents, make_model


@pytest.fixture(scope="module", params=list(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("families") / request.param
    make_model(request.param, place)
    return Path(place)


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


def made(family: str, folder: Path) -> Any:
    FAMILIES[family](folder)
    return load_tokenizer(folder)


def test_every_family_is_loaded_and_gives_back_text_in_lower_case(tokenizer: Any) -> None:
    texts = [text.lower().replace("\n", " ") for text in documents(20)]
    for text, ids in zip(texts, Encoder(tokenizer)(texts), strict=True):
        assert "".join(tokenizer.decode(ids).split()) == "".join(text.split())


def test_special_tokens_that_a_text_spells_out_never_become_their_ids(tokenizer: Any) -> None:
    special = special_ids(tokenizer)
    spelled = [str(tokenizer.decode([i], skip_special_tokens=False)) for i in sorted(special)]
    texts = [f"the{token}old {token} mill{token}" for token in spelled] + spelled
    for ids in Encoder(tokenizer)(texts):
        assert not set(ids) & special
    plain = ["the old mill"]
    assert Encoder(tokenizer)(plain) == tokenizer(plain, add_special_tokens=False).input_ids


def test_ids_know_their_place(tokenizer: Any) -> None:
    text = "the old mill grinds wheat"
    encoded = Encoder(tokenizer).with_offsets([text])[0]
    assert encoded.ids == Encoder(tokenizer)([text])[0]
    behind = encoded.behind(len("the old"))
    assert "".join(tokenizer.decode(encoded.ids[behind:]).split()) == "millgrindswheat"
    assert encoded.behind(len(text)) == len(encoded.ids)


def test_a_continuation_and_what_is_before_it_are_the_text(tokenizer: Any) -> None:
    ids = Encoder(tokenizer)(["the old mill grinds wheat into flour"])[0]
    whole = tokenizer.decode(ids)
    for cut in range(1, len(ids)):
        before, ahead = ids[:cut], tokenizer.decode(ids[:cut])
        assert ahead + continuation(tokenizer, before, ids[cut:]) == whole
        shown: list[str] = []
        stream = TextStream(tokenizer, lambda _, text, shown=shown: shown.append(text), [before])
        for token in ids[cut:]:
            stream(0, token)
        assert ahead + "".join(shown) == whole
    assert "".join(token_texts(tokenizer, ids)) == whole
    # Behind a special token a text begins, and has no blank in front that its writer didn't mean.
    assert continuation(tokenizer, [*ids, int(tokenizer.eos_token_id)], ids) == whole


def test_a_character_of_several_tokens_is_shown_once_and_whole(tmp_path: Path) -> None:
    for family in ("byte-bpe", "dummy-prefix"):
        tokenizer = made(family, tmp_path / family)
        ids = Encoder(tokenizer)(["old 東 mill"])[0]
        texts = token_texts(tokenizer, ids)
        assert len(texts) == len(ids)
        assert "".join(texts) == "old 東 mill"
        assert texts.count("東") == 1


def test_tables_by_id_hold_every_id(folder: Path, tokenizer: Any, context: FakeContext, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"{text.strip()}\n" for text in documents(60)), "utf-8")
    text = {"use": "language/text", "path": str(lines), "unit": "line", "valid_fraction": 0, "test_fraction": 0}
    data = context.make("blocks", "data", text=text, tokenizer={"path": str(folder)}, length=12, packing="packed")
    data.prepare(context.workspace, context)
    facts = data.facts()
    assert facts["vocabulary_size"] == vocabulary_size(tokenizer) > int(tokenizer.eos_token_id)
    assert len(data.token_counts("train")) == facts["vocabulary_size"]
    batch = data.collate(data.examples("train")[:4])
    kind = "t5" if folder.name == "unigram" else "causal"
    if kind == "causal":
        model = context.make(kind, "model", facts, path=str(folder))
        loss = model(input_ids=batch["input_ids"], labels=batch["labels"], segment_ids=batch["segment_ids"]).loss
        loss.backward()
        assert torch.isfinite(loss)
    rows = data.files["train"]
    assert np.bincount(rows.tokens[1:], minlength=facts["vocabulary_size"]).tolist() == rows.counts.tolist()


def test_generated_text_goes_on_from_the_prompt(folder: Path, tokenizer: Any) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    seq2seq = folder.name == "unigram"
    auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    predictor = LanguagePredictor(auto.from_pretrained(str(folder)), tokenizer)
    shown: dict[int, str] = {}

    def show(row: int, text: str) -> None:
        shown[row] = shown.get(row, "") + text

    prompts = ["the old mill", "a river runs past the old mill and the miller"]
    texts = predictor.generate_text(prompts, max_new_tokens=8, on_text=show)
    assert [text.rstrip("\ufffd").startswith(shown.get(row, "")) for row, text in enumerate(texts)] == [True, True]


def test_the_first_blank_of_a_continuation_is_kept(tmp_path: Path) -> None:
    tokenizer = made("dummy-prefix", tmp_path)
    before, ids = Encoder(tokenizer)(["the old", "mill runs"])
    assert continuation(tokenizer, before, ids) == " mill runs"
    assert continuation(tokenizer, [*start_ids(tokenizer), *before], ids) == " mill runs"
    assert continuation(tokenizer, start_ids(tokenizer), ids) == "mill runs"


def test_every_end_that_a_model_names_ends_a_text(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    make_model("chat", tmp_path)
    tokenizer, model = load_tokenizer(tmp_path), AutoModelForCausalLM.from_pretrained(str(tmp_path))
    turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert turn_end(tokenizer) == turn
    assert end_ids(tokenizer) == [int(tokenizer.eos_token_id), turn]
    tokenizer.chat_template = None
    assert end_ids(tokenizer) == [int(tokenizer.eos_token_id)]
    assert end_ids(tokenizer, model) == [int(tokenizer.eos_token_id), turn]
    for parameter in model.parameters():
        parameter.data.zero_()
    with torch.no_grad():
        model.get_output_embeddings().weight[turn] = 1
        model.model.norm.weight.fill_(1)
    # Every other id scores the same, so that greedy decoding writes this one and stops.
    model.get_input_embeddings().weight.data[:] = 1
    model.get_input_embeddings().weight.data[turn] = 2
    predictor = LanguagePredictor(model, tokenizer)
    assert predictor.generate_text(["the old"], max_new_tokens=5, skip_special_tokens=False) == [""]


def test_a_chat_template_that_writes_no_replies_names_no_end(tmp_path: Path) -> None:
    tokenizer = made("chat", tmp_path)
    tokenizer.chat_template = "{% for m in messages if m.role == 'user' %}<|im_start|>{{ m.content }}{% endfor %}"
    assert turn_end(tokenizer) is None
    assert end_ids(tokenizer) == [int(tokenizer.eos_token_id)]


def test_the_ends_of_a_text_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    make_model("chat", tmp_path)
    predictor = LanguagePredictor(AutoModelForCausalLM.from_pretrained(str(tmp_path)), load_tokenizer(tmp_path))
    first = predictor.eos_ids
    monkeypatch.setattr("omnitrain_language.predictor.end_ids", lambda *given: [])
    assert predictor.eos_ids == first


def test_a_padding_token_can_be_added_and_own_sentinels_are_not_continued(context: FakeContext, tmp_path: Path) -> None:
    for family in ("byte-bpe", "chat"):
        FAMILIES[family](tmp_path / family)
        config = TokenizerConfig(path=str(tmp_path / family), extra_tokens=["<pad>"])
        tokenizer = prepare_tokenizer(config, (), "", tmp_path, context)
        assert pad_id(tokenizer) == tokenizer.convert_tokens_to_ids("<pad>") != tokenizer.eos_token_id
    FAMILIES["unigram"](tmp_path / "unigram")
    kept = prepare_tokenizer(TokenizerConfig(path=str(tmp_path / "unigram"), sentinels=100), (), "", tmp_path, context)
    assert vocabulary_size(kept) == 250
    with pytest.raises(UsageError, match=r"tokenizer.sentinels 200.*has 100 of its own.*at most 100"):
        prepare_tokenizer(TokenizerConfig(path=str(tmp_path / "unigram"), sentinels=200), (), "", tmp_path, context)
