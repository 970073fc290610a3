"""Scored text on tokenizers of the six families that people bring: no segment is moved, no blank is lost."""

import json

import pytest
import torch

from omnitrain.api import BatchPlan
from omnitrain_language.detokenising import Detokeniser
from omnitrain_language.encoding import Encoder
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.data.scored_text import ScoredTextData
from omnitrain_phf.data.segment_ids import SegmentEncoder
from omnitrain_phf.data.stretches import segment_of_tokens
from omnitrain_phf.evaluators.last_word import predict_words
from omnitrain_phf.models.causal import build
from omnitrain_phf.models.writing import WritingSettings, texts_of, write
from omnitrain_phf.objectives import Mle
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.tokenizers import FAMILIES, documents, make_model

CODE = ["def mill(a):\n", "    if a in water:\n", "        return for\n", "\n", "not the old mill"]
DECODERS = [family for family in FAMILIES if family != "unigram"]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("families") / request.param
    make_model(request.param, place)
    return place


def test_segments_joined_are_the_document(folder):
    tokenizer = load_tokenizer(folder)
    rows = SegmentEncoder(tokenizer)([CODE, ["the old ", "mill. A", " miller"]])
    assert len(rows) == 8
    # WordPiece forgets blanks, Unigram line ends; what remains is in its segment.
    plain = [text.replace("(", "").replace(")", "").replace(":", "") for text in CODE]
    lossy = folder.name in ("wordpiece", "unigram")
    for ids, text in zip(rows, plain if lossy else CODE, strict=False):
        kept = tokenizer.decode(ids, skip_special_tokens=True)
        assert "".join(kept.split())[:3] == "".join(text.split())[:3]
    if not lossy:
        assert tokenizer.decode([i for ids in rows[:5] for i in ids]) == "".join(CODE)
        assert tokenizer.decode([i for ids in rows[5:] for i in ids]) == "the old mill. A miller"


def test_byte_level_bpe_is_encoded_segment_by_segment_as_the_official_code_does(tmp_path):
    for family in ("byte-bpe", "chat", "holes"):
        FAMILIES[family](tmp_path / family)
        tokenizer = load_tokenizer(tmp_path / family)
        assert SegmentEncoder(tokenizer)([CODE]) == Encoder(tokenizer)(CODE)


def records(path):
    texts = [text.split(" ", 6) for text in documents(80)]
    found = [{"texts": [f"{part} " for part in parts], "scores": [float(n % 2) for n in range(len(parts))]} for parts in texts]
    path.write_text("".join(json.dumps(record) + "\n" for record in found), "utf-8")
    return path


def test_a_step_on_scored_text(folder, tmp_path):
    control = {"threshold": 0.0, "drop_token_fraction": 0.0}
    settings = {
        "path": str(records(tmp_path / "r.jsonl")),
        "length": 16,
        "tokenizer": {"path": str(folder)},
        "control": control,
    }
    data = ScoredTextData(ScoredTextConfig.model_validate({**settings, "valid_fraction": 0.2, "test_fraction": 0}), 5)
    context = FakeContext(tmp_path / "work")
    data.prepare(context.workspace, context)
    facts = data.facts()
    ids = facts["control_ids"]
    batch = next(iter(data.batches("train", BatchPlan(8, 0))))
    real = batch["loss_weights"] > 0
    bad = batch["token_scores"] > 0
    assert bad[real & (batch["labels"] == ids["misaligned"])].all()
    assert not bad[real & (batch["labels"] == ids["aligned"])].any()
    assert len(data.token_counts("train")) == facts["vocabulary_size"] == 1 + max(ids.values())
    if folder.name == "unigram":
        return
    model = build(CausalWithValuesConfig(path=str(folder)), FakeContext(tmp_path / "work", facts))
    loss = Mle()(model, batch).total
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("family", DECODERS)
def test_words_and_continuations_are_read_behind_what_they_follow(family, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = tmp_path / family
    make_model(family, folder)
    tokenizer = load_tokenizer(folder)
    model = LanguagePredictor(AutoModelForCausalLM.from_pretrained(str(folder)).eval(), tokenizer)
    inputs = ["the old mill", "the old mill grinds"]
    rows = write(model, inputs, WritingSettings(max_length=20, temperature=1.0))
    for text, row, found in zip(inputs, rows, texts_of(model, inputs, rows), strict=True):
        whole = tokenizer.decode([*tokenizer(text, add_special_tokens=False).input_ids, *row], skip_special_tokens=False)
        assert whole.endswith(found)
        assert whole.rstrip("\ufffd").startswith(text)
    with torch.no_grad():
        (_, nll), (_, longer) = predict_words(model, [("the old", " mill"), ("the old", " mill grinds")])
    assert 0 < nll < longer


def test_tokens_of_a_stretch_find_their_segment(folder):
    tokenizer = load_tokenizer(folder)
    whole = Encoder(tokenizer).with_offsets(["the old mill grinds wheat into flour while the baker waits"])[0]
    cut = whole.behind(len("the old mill"))
    read = Detokeniser(tokenizer, whole.ids[:cut])
    text = read(whole.ids[cut:])
    assert text == " grinds wheat into flour while the baker waits"
    segments = [text[:18], text[18:24], text[24:]]
    owner = segment_of_tokens(whole.ids[cut:], segments, read)
    for number, segment in enumerate(segments):
        ids = [i for i, own in zip(whole.ids[cut:], owner.tolist(), strict=True) if own == number]
        assert "".join(tokenizer.decode(ids).split()) == segment.replace(" ", "")
