"""Mode tokens: one special id, plain text in pieces, or none."""

import numpy as np
import pytest

from omnitrain.api import BatchPlan
from omnitrain.errors import UsageError
from omnitrain_language.configs.tokenizers import TokenizerConfig
from omnitrain_ul2.configs.data import ModesConfig
from omnitrain_ul2.data.modes import tokenizer_config, vocabulary_of

RELEASE = {"style": "text", "R": "[NLU]", "X": "[NLG]", "S": "[S2S]"}


def first_batch(data, rows=200):
    return next(iter(data.batches("train", BatchPlan(rows, 0))))


@pytest.mark.parametrize("modes", [{}, {"R": "<r>", "X": "<x>", "S": "<s>"}, RELEASE])
def test_inputs_begin_with_the_mode_and_targets_never_hold_it(make_data, modes):
    data = make_data(modes=modes)
    ids = data.vocabulary.mode_ids
    assert all((len(pieces) == 1) == (modes.get("style") != "text") for pieces in ids.values())
    batch = first_batch(data)
    for row, task in enumerate(batch["task_ids"].tolist()):
        lead = ids[data.mixture.denoisers[task].kind]
        assert tuple(batch["input_ids"][row, : len(lead)].tolist()) == lead
    if modes.get("style") != "text":
        special = {token for pieces in ids.values() for token in pieces}
        assert not special & set(batch["labels"].flatten().tolist())
        assert not special & set(batch["input_ids"][:, 1:].flatten().tolist())


def test_pieces_take_their_room_off_the_inputs(make_data):
    plans = [make_data(modes=modes).corrupter.plan(make_data().mixture.denoisers) for modes in (RELEASE, {"style": "none"})]
    lead = len(make_data(modes=RELEASE).vocabulary.mode_ids["S"])
    assert plans[1].segments[6].tokens_length - plans[0].segments[6].tokens_length == lead
    full = first_batch(make_data(modes=RELEASE))
    assert full["input_ids"].shape[1] == 64
    assert (full["attention_mask"].sum(dim=1) <= 64).all()


def test_without_modes_the_inputs_begin_with_the_text(make_data):
    data = make_data(modes={"style": "none"})
    assert data.vocabulary.mode_ids == {}
    starts = first_batch(data)["input_ids"][:, 0]
    assert not set(starts.tolist()) & set(data.tokenizer.all_special_ids) - {data.vocabulary.first_sentinel}


@pytest.mark.parametrize("mode", ["R", "X", "S"])
def test_any_mode_can_be_put_in_front_of_any_denoiser(make_data, mode):
    data = make_data()
    plan = data.corrupter.plan(data.mixture.denoisers, mode)
    assert {tuple(row) for row in plan.prefix.tolist()} == {data.vocabulary.mode_ids[mode]}
    assert data.corrupter.plan(data.mixture.denoisers, "none").prefix.shape[1] == 0


def test_mode_tokens_are_new_ids_below_the_sentinels(make_data):
    data = make_data()
    modes = [pieces[0] for pieces in data.vocabulary.mode_ids.values()]
    lowest = data.vocabulary.first_sentinel - data.vocabulary.sentinels + 1
    assert sorted(modes) == list(range(lowest - 3, lowest))
    counts = data.token_counts("train")
    assert (counts[modes] == 0).all()
    assert (counts[lowest:] == 0).all()


def test_two_modes_with_the_same_pieces_are_refused(make_data):
    tokenizer = make_data().tokenizer
    modes = ModesConfig.model_construct(style="text", R="[A]", X="[A]", S="[S]")
    with pytest.raises(UsageError, match="two modes have the same ids"):
        vocabulary_of(tokenizer, modes, True, "decoder-only")


def test_special_modes_of_several_tokens_are_refused(make_data):
    tokenizer = make_data(modes={"style": "none"}).tokenizer
    with pytest.raises(UsageError, match=r"modes.R: '\[R\]' is \d tokens, not one special id; set modes.style to text"):
        vocabulary_of(tokenizer, ModesConfig(), True, "decoder-only")


def test_tokenizer_without_sentinels_is_refused(make_data):
    tokenizer = make_data(mixture="causal_lm", tokenizer={"vocabulary_size": 700}).tokenizer
    with pytest.raises(UsageError, match="no sentinels"):
        vocabulary_of(tokenizer, ModesConfig(), True, "decoder-only")
    assert vocabulary_of(tokenizer, ModesConfig(), False, "decoder-only").sentinels == 0


def test_tokenizer_settings_get_modes_once_and_the_sentinels_needed():
    asked = TokenizerConfig(extra_tokens=["[R]"])
    made = tokenizer_config(asked, ModesConfig(), 17)
    assert made.extra_tokens == ["[R]", "[X]", "[S]"]
    assert made.sentinels == 17
    assert tokenizer_config(TokenizerConfig(sentinels=40), ModesConfig(style="none"), 17).sentinels == 40
    # A tokenizer from elsewhere keeps its own sentinels.
    assert tokenizer_config(TokenizerConfig(path="somewhere"), ModesConfig(), 17).sentinels == 0


def test_mode_is_not_counted_among_the_targets_of_any_layout(make_data):
    data = make_data(layout="decoder-only", pack=True)
    batch = first_batch(data, 16)
    special = np.array([pieces[0] for pieces in data.vocabulary.mode_ids.values()])
    in_loss = batch["labels"][batch["loss_weights"] > 0].numpy()
    assert not np.isin(in_loss, special).any()
