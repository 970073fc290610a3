from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORDS, FakeContext
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from omnitrain.errors import DataError, Stopped, UsageError
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_language.encoding import Encoder
from omnitrain_language.tokenizer_training import LONGEST_RUN, bounded
from omnitrain_language.tokenizers import (
    load_tokenizer,
    prepare_tokenizer,
    save_tokenizer,
    tokenizer_fingerprint,
    train_tokenizer,
)
from omnitrain_language.tokens import prepare_tokens, token_file, write_tokens

CONFIG = TokenizerConfig(vocabulary_size=320, sentinels=4, extra_tokens=["[R]", "[S]"])
TEXTS = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))]
TOKENIZER = train_tokenizer(TEXTS, CONFIG)


def test_special_tokens_have_their_documented_ids() -> None:
    size = len(TOKENIZER)
    assert TOKENIZER.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    sentinels = TOKENIZER.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(4)])
    assert sentinels == [size - 1, size - 2, size - 3, size - 4]
    assert TOKENIZER.convert_tokens_to_ids(["[R]", "[S]"]) == [size - 6, size - 5]
    assert size <= CONFIG.vocabulary_size


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_decoded_to_itself(text: str) -> None:
    ids = Encoder(TOKENIZER)([text])[0]
    assert TOKENIZER.decode(ids) == text
    assert not set(ids) & set(TOKENIZER.all_special_ids)


def test_special_tokens_written_in_documents_are_ordinary_text() -> None:
    ids = Encoder(TOKENIZER)(["a [S] b </s> <extra_id_0>"])[0]
    assert not set(ids) & set(TOKENIZER.all_special_ids)
    assert TOKENIZER.convert_tokens_to_ids("[S]") in TOKENIZER("[S] a").input_ids


def test_same_texts_give_the_same_tokenizer() -> None:
    assert tokenizer_fingerprint(train_tokenizer(TEXTS, CONFIG)) == tokenizer_fingerprint(TOKENIZER)


def test_saved_tokenizer_puts_the_end_of_sequence_where_the_model_expects_it(tmp_path: Path) -> None:
    plain = Encoder(TOKENIZER)(["cat"])[0]
    save_tokenizer(TOKENIZER, tmp_path / "a", "encoder-decoder")
    save_tokenizer(TOKENIZER, tmp_path / "b", "decoder-only")
    assert load_tokenizer(tmp_path / "a")("cat").input_ids == [*plain, 1]
    assert load_tokenizer(tmp_path / "b")("cat").input_ids == [1, *plain]
    assert TOKENIZER("cat").input_ids == plain


def test_vocabulary_without_room_is_refused() -> None:
    with pytest.raises(ValidationError, match="need 361"):
        TokenizerConfig(vocabulary_size=300, sentinels=100, extra_tokens=["[R]", "[S]"])


def test_extra_token_that_text_already_has_is_refused() -> None:
    with pytest.raises(UsageError, match="choose other names"):
        train_tokenizer(TEXTS, TokenizerConfig(vocabulary_size=300, extra_tokens=["a"]))


def test_missing_tokenizer_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_tokenizer(tmp_path)


def test_tokenizer_is_trained_once_per_workspace(context: FakeContext, tmp_path: Path) -> None:
    first = prepare_tokenizer(CONFIG, TEXTS, "f", tmp_path, context)
    second = prepare_tokenizer(CONFIG, iter(()), "f", tmp_path, context)
    assert tokenizer_fingerprint(first) == tokenizer_fingerprint(second)
    from_folder = TokenizerConfig(path=str(next((tmp_path / "tokenizers").iterdir())), extra_tokens=["[X]"])
    loaded = prepare_tokenizer(from_folder, iter(()), "", tmp_path, context)
    assert loaded.convert_tokens_to_ids("[X]") == len(loaded) - 1 == len(first)


def test_token_files_hold_every_document_between_ends_of_sequence(context: FakeContext, corpus: Path) -> None:
    data = context.make("text", "data", path=str(corpus))
    files = prepare_tokens(data, TOKENIZER, context.workspace, context)
    texts = [e["text"] for e in data.examples("train")]
    file = files["train"]
    assert file.tokens.dtype == np.uint16
    assert len(file) == len(texts)
    assert [TOKENIZER.decode(file.document(i)) for i in range(len(file))] == texts
    assert file.tokens[0] == 1
    assert (file.tokens[file.offsets[1:] - 1] == 1).all()
    assert file.counts.sum() == len(file.tokens) - 1 == file.lengths().sum() + len(file)
    with pytest.raises(IndexError):
        file.document(len(file))


def test_tokens_are_made_once_and_again_when_they_are_damaged(context: FakeContext, tmp_path: Path) -> None:
    def make(texts: Any) -> Any:
        return token_file(texts, "f", TOKENIZER, tmp_path, context, "train")

    first = make(TEXTS)
    content = (first.folder / "tokens.bin").read_bytes()
    assert make(iter(())).folder == first.folder
    for name in ("tokens.bin", "offsets.bin", "complete.json"):
        whole = (first.folder / name).read_bytes()
        (first.folder / name).write_bytes(whole[: len(whole) // 2])
        assert (make(TEXTS).folder / "tokens.bin").read_bytes() == content
    flipped = bytearray(content)
    flipped[3] ^= 1
    (first.folder / "tokens.bin").write_bytes(flipped)
    assert (make(TEXTS).folder / "tokens.bin").read_bytes() == content


def test_another_tokenizer_gets_another_file(context: FakeContext, tmp_path: Path) -> None:
    other = train_tokenizer(TEXTS, TokenizerConfig(vocabulary_size=300))
    folders = {token_file(TEXTS, "f", t, tmp_path, context, "train").folder for t in (TOKENIZER, other)}
    assert len(folders) == 2


@pytest.mark.parametrize("run", ["x" * 3000, " \n" * 1500, "ab" * 700 + " " + "東" * 600])
def test_long_runs_are_cut_for_training_and_nothing_is_lost(run: str) -> None:
    text = f"the cat {run} sat"
    parts = list(bounded(text))
    assert "".join(parts) == text
    assert max(len(word) for part in parts for word in part.split()) <= LONGEST_RUN
    assert all(len(part) <= LONGEST_RUN for part in parts if not part.strip())
    plain = "an ordinary text, " * 100 + "=" * LONGEST_RUN
    assert list(bounded(plain)) == [plain]


class _Asked:
    """Progress of a job that is asked to stop at its n-th report."""

    def __init__(self, reports: int) -> None:
        self.left, self.characters = reports, 0.0

    def advance(self, amount: float = 1, **values: float) -> None:
        self.characters += amount
        self.left -= 1
        if self.left < 0:
            raise Stopped("asked to stop")


def test_training_a_tokenizer_counts_its_text_and_stops_when_asked() -> None:
    counted = _Asked(10**6)
    train_tokenizer(TEXTS, CONFIG, counted)
    assert counted.characters == sum(map(len, TEXTS))
    # While texts are read, and while the library works on what it has read.
    for reports in (0, 1):
        with pytest.raises(Stopped):
            train_tokenizer((text for _ in range(400) for text in TEXTS), CONFIG, _Asked(reports))

    def damaged() -> Iterator[str]:
        yield "a text"
        raise DataError("the second text is damaged")

    with pytest.raises(DataError, match="the second text is damaged"):
        train_tokenizer(damaged(), CONFIG)


def test_tokenising_stops_when_asked(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        write_tokens(["a text"], TOKENIZER, tmp_path, _Asked(0))
