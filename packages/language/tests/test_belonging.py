"""What belongs together is compared before training: tokenizers, rows, positions; saved models need no base; broken files."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from omnitrain.engine import check_model_folder, find_pretrained
from omnitrain.engine.opening import load_saved_model
from omnitrain.engine.scratch import scratch_run
from omnitrain.errors import DataError, EnvironmentFault, UsageError
from omnitrain.plugins import installed
from omnitrain_language.belonging import check_tokenizers, positions_of, token_identity
from omnitrain_language.configs.models import CausalConfig
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.models import build_causal
from omnitrain_language.tokenizers import load_tokenizer, prepare_tokenizer, tokenizer_facts
from omnitrain_language.tokens import token_file
from omnitrain_testing.contexts import FakeContext
from omnitrain_testing.tokenizers import FAMILIES, documents, make_model


def causal(context: FakeContext, **settings: Any) -> Any:
    """Build the model `language/causal`."""
    return build_causal(CausalConfig.model_validate(settings), context)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A GPT-2 with its tokenizer and 128 positions."""
    make_model("byte-bpe", tmp_path / "base")
    return tmp_path / "base"


def facts_of(folder: Path, *added: str, **more: Any) -> dict[str, Any]:
    """What data with the tokenizer of a folder tells."""
    tokenizer = load_tokenizer(folder)
    if added:
        tokenizer.add_special_tokens({"extra_special_tokens": list(added)}, replace_extra_special_tokens=False)
    return {**tokenizer_facts(tokenizer), **more}


def test_identities_tell_vocabularies_apart_and_leave_added_tokens_free(tmp_path: Path) -> None:
    for family in ("byte-bpe", "chat"):
        FAMILIES[family](tmp_path / family)
    own, extended = facts_of(tmp_path / "chat")["tokens"], facts_of(tmp_path / "chat", "[A]")["tokens"]
    assert json.loads(json.dumps(own)) == own
    check_tokenizers("m", own, extended)
    check_tokenizers("m", extended, own)
    with pytest.raises(DataError, match=r"m and the data have different tokenizers: their vocabularies differ"):
        check_tokenizers("m", own, token_identity(load_tokenizer(tmp_path / "byte-bpe")))
    with pytest.raises(DataError, match=r"is '\[A\]' in the model's and '\[B\]' in the data's"):
        check_tokenizers("m", extended, facts_of(tmp_path / "chat", "[B]")["tokens"])


def test_a_loaded_model_refuses_data_of_another_tokenizer_of_any_size(base: Path, tmp_path: Path) -> None:
    FAMILIES["dummy-prefix"](tmp_path / "other")
    with pytest.raises(DataError, match="different tokenizers"):
        causal(FakeContext(tmp_path, facts=facts_of(tmp_path / "other")), path=str(base))


def test_a_model_of_an_earlier_stage_grows_for_added_tokens_and_refuses_others(base: Path, tmp_path: Path) -> None:
    context = FakeContext(tmp_path, facts=facts_of(base))
    model = causal(context, path=str(base))
    rows = model.get_input_embeddings().weight.shape[0]
    before = model.get_input_embeddings().weight.detach().clone()
    more = FakeContext(tmp_path, facts=facts_of(base, "[A]", "[B]"))
    with pytest.raises(UsageError, match=f"{rows + 2} ids and .* only {rows} rows"):
        model.fit_data(more, grow=False)
    model.fit_data(more, grow=True)
    grown = model.get_input_embeddings().weight
    assert grown.shape[0] == rows + 2
    assert torch.equal(grown[:rows], before)
    FAMILIES["chat"](tmp_path / "other")
    with pytest.raises(DataError, match="different tokenizers"):
        model.fit_data(FakeContext(tmp_path, facts=facts_of(tmp_path / "other")), grow=True)


def test_data_for_a_model_takes_its_tokenizer_and_says_so(base: Path, tmp_path: Path) -> None:
    context = FakeContext(tmp_path, model_source=str(base))
    taken = prepare_tokenizer(TokenizerConfig(), documents(), "f", tmp_path / "work", context)
    assert taken.get_vocab() == load_tokenizer(base).get_vocab()
    assert context.events == [{"event": "tokenizer", "taken": "the model's own", "ids": len(taken)}]
    with pytest.raises(UsageError, match=r"tokenizer.vocabulary_size 300: .* has a tokenizer of \d+ ids"):
        prepare_tokenizer(TokenizerConfig(vocabulary_size=300), documents(), "f", tmp_path / "work", context)


def test_rows_beyond_the_positions_are_refused_with_both_settings(base: Path, tmp_path: Path) -> None:
    long = {"positions": 129, "positions_setting": "length"}
    with pytest.raises(UsageError, match=r"rows of 129 tokens \(length\) .* 128 positions: .*max_position_embeddings"):
        causal(FakeContext(tmp_path, facts=facts_of(base, **long)), path=str(base))
    with pytest.raises(UsageError, match="raise the model's max_length"):
        causal(FakeContext(tmp_path, facts={"vocabulary_size": 300, **long}), size="tiny", max_length=64)
    model = causal(FakeContext(tmp_path, facts=facts_of(base)), path=str(base))
    with pytest.raises(UsageError, match="rows of 130 tokens"):
        model(input_ids=torch.zeros(1, 130, dtype=torch.long))


def test_rotary_positions_end_where_training_did_unless_they_are_scaled() -> None:
    from transformers import LlamaConfig, T5Config

    assert positions_of(LlamaConfig(max_position_embeddings=64)) == 64
    scaled = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}
    assert positions_of(LlamaConfig(max_position_embeddings=64, rope_parameters=scaled)) == 256
    assert positions_of(T5Config()) is None


def test_a_fully_trained_model_needs_its_base_no_more(base: Path, tmp_path: Path) -> None:
    registry = installed()
    model = causal(FakeContext(tmp_path, facts=facts_of(base)), path=str(base))
    folder = tmp_path / "saved"
    model.save_pretrained(folder)
    component = {"use": "language/causal", "config": {"path": str(base)}, "facts": facts_of(base), "data": None}
    (folder / "component.json").write_text(json.dumps(component))
    shutil.move(base, tmp_path / "elsewhere")
    with scratch_run(registry) as run:
        again = load_saved_model(folder, run, registry)
    assert torch.equal(again.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_names_that_look_like_paths_never_reach_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "base-moved").mkdir(parents=True)
    (tmp_path / "my-gpt2").mkdir()
    assert find_pretrained("models/base-moved") == str(tmp_path / "models" / "base-moved")
    assert find_pretrained("google/t5-v1_1-small") == "google/t5-v1_1-small"
    assert find_pretrained("gpt2") == "gpt2"
    for missing in ("./nothing", "/nothing/at/all", "a/b/c", "~/nothing-of-that-name"):
        with pytest.raises(DataError, match="there is no such folder"):
            find_pretrained(missing)
    with pytest.raises(DataError, match="did you mean models/base-moved"):
        find_pretrained("models/base-mowed")
    with pytest.raises(DataError, match="did you mean my-gpt2"):
        find_pretrained("my-gtp2")


def _lfs(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


def _cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def _shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))


def _config(folder: Path) -> None:
    (folder / "config.json").write_text((folder / "config.json").read_text()[:50])


def _list(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


BROKEN = [
    (_list, r"config.json holds no JSON object"),
    (_lfs, "is a pointer of Git LFS"),
    (_cut, "has .* bytes of"),
    (_shard, r"lacks model-00002-of-00002.safetensors"),
    (_config, r"config.json is no JSON"),
]


@pytest.mark.parametrize(("harm", "words"), BROKEN)
def test_broken_files_are_named(base: Path, tmp_path: Path, harm: Any, words: str) -> None:
    harm(base)
    with pytest.raises(DataError, match=words):
        check_model_folder(base)
    for device in ("cpu", "meta"):
        with torch.device(device), pytest.raises(DataError, match=words):
            causal(FakeContext(tmp_path), path=str(base))


def test_a_model_of_another_kind_is_named(tmp_path: Path) -> None:
    make_model("unigram", tmp_path / "t5")
    with pytest.raises(DataError, match="is an encoder-decoder") as found:
        causal(FakeContext(tmp_path), path=str(tmp_path / "t5"))
    assert len(str(found.value)) < 300


@pytest.mark.parametrize(("text", "words"), [("\u4e2d" * 40, "does not know"), ("a river", None)])
def test_text_that_a_tokenizer_does_not_know_is_refused(tmp_path: Path, text: str, words: str | None) -> None:
    FAMILIES["wordpiece"](tmp_path / "pieces")
    tokenizer, context = load_tokenizer(tmp_path / "pieces"), FakeContext(tmp_path)
    if words is None:
        token_file([text, ""], "f", tokenizer, tmp_path, context, "train")
        assert context.events == [{"event": "documents without tokens", "split": "train", "documents": 1, "of": 2}]
        return
    with pytest.raises(DataError, match=words):
        token_file([text], "f", tokenizer, tmp_path, context, "train")


def test_a_folder_without_a_tokenizer_is_refused(base: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).unlink()
    with pytest.raises(DataError, match=r"holds none of tokenizer.json"):
        load_tokenizer(base)


def test_a_sentencepiece_file_alone_asks_for_what_reads_it(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "tokenizer.json").rename(base / "tokenizer.model")
    monkeypatch.setattr("omnitrain_language.tokenizers.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"SentencePiece file tokenizer\.model alone.*pip install sentencepiece"):
        load_tokenizer(base)


@pytest.mark.parametrize(("ours", "how"), [(True, "omnitrain export"), (False, "merge_and_unload and save_pretrained of peft")])
def test_adapters_in_place_of_a_model_are_refused_with_what_merges_them(tmp_path: Path, ours: bool, how: str) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    if ours:
        (tmp_path / "component.json").write_text("{}")
    with pytest.raises(DataError, match=how):
        check_model_folder(tmp_path)
