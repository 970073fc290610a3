"""What is masked, by which rule, and what the loss is on."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omnitrain.api import numpy_generator
from omnitrain_language.configs.models import T5Config
from omnitrain_language.configs.objectives import Seq2SeqNllConfig
from omnitrain_language.models import build_t5
from omnitrain_language.objectives import build_seq2seq
from omnitrain_omnitab.data.pretraining import TASKS
from omnitrain_omnitab.paper.masking import clean_spans, mask_tokens, token_ranges
from omnitrain_testing.contexts import FakeContext

MASK = 999


def test_eighty_percent_are_masks_ten_stay_and_ten_are_random():
    generator = numpy_generator(3)
    count = 20_000
    new, masked = mask_tokens(
        [5] * count,
        [(i, i + 1) for i in range(count)],
        MASK,
        granularity="token",
        strategy="bert",
        merge=False,
        uniform=lambda: float(generator.random()),
        random_id=lambda: 7,
    )
    shares = {token: number / count for token, number in Counter(new).items()}
    assert all(masked)
    assert shares == pytest.approx({MASK: 0.8, 5: 0.1, 7: 0.1}, abs=0.01)


def test_random_ids_stand_for_text_and_never_for_a_special_token(make_pretraining):
    tokens = make_pretraining().tokens
    special = {tokens.pad, tokens.eos, tokens.mask_id, *tokens.tokenizer.all_special_ids}
    assert not special & set(tokens.text_ids)
    assert len(tokens.text_ids) == len(tokens.tokenizer) - len(special)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12))
def test_cleaned_spans_are_in_order_and_never_overlap(spans):
    found = clean_spans(spans, 25)
    flat = [edge for span in found for edge in span]
    assert flat == sorted(flat)
    assert all(start < end <= 25 for start, end in found)
    assert clean_spans(found, 25) == found


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.data())
def test_tokens_of_a_span_are_all_that_overlap_it(widths, data):
    edges = [sum(widths[:i]) for i in range(len(widths) + 1)]
    tokens = list(pairwise(edges))
    start = data.draw(st.integers(0, edges[-1] - 1))
    end = data.draw(st.integers(start + 1, edges[-1]))
    inside = [i for i, (a, b) in enumerate(tokens) if a < end and b > start]
    assert token_ranges(tokens, [(start, end)]) == [(inside[0], inside[-1] + 1)]


def test_every_sentence_gives_two_examples_and_a_mention_one_mask(make_pretraining):
    data = make_pretraining()
    found = [data.example("train", index, index) for index in range(data.size("train"))]
    tasks = Counter(TASKS[drawn.task] for drawn in found)
    assert tasks["random"] == tasks["salient"] == len(found) // 2
    mask = data.tokens.mask_id
    for drawn in found:
        if TASKS[drawn.task] == "salient":
            runs = sum(
                flag and not before
                for before, flag in zip([False, *drawn.example.in_loss], drawn.example.in_loss, strict=False)
            )
            assert drawn.example.input_ids.count(mask) == runs == 2  # the row's name and the cell


def test_salient_masks_leave_the_table_and_random_ones_reach_it(make_pretraining):
    data = make_pretraining()
    for index in range(12):
        drawn = data.example("train", index, 5)
        behind = _find(drawn.example.target_ids, data.tokens.ids(" col :"))
        in_table = any(drawn.example.in_loss[behind:])
        assert in_table == (TASKS[drawn.task] == "random")


def _find(ids, part):
    return next(i for i in range(len(ids)) if ids[i : i + len(part)] == part)


@pytest.mark.parametrize("style", ["bart", "t5"])
def test_loss_is_on_masked_positions_and_the_decoder_reads_the_unmasked_sequence(make_pretraining, style):
    data = make_pretraining()
    batch = data.collate([data.example("train", index, 1) for index in range(4)])
    model = build_t5(T5Config(size="tiny", style=style, max_length=128), FakeContext(Path("unused"), data.facts()))
    model.eval()
    objective = build_seq2seq(Seq2SeqNllConfig(), FakeContext(Path("unused"), data.facts()))
    kept = {}
    model.register_forward_hook(lambda module, given, found: kept.update(logits=found.logits))
    with torch.enable_grad():
        loss = objective(model, batch)
        kept["logits"].retain_grad()
        loss.total.backward()
    gradient = kept["logits"].grad.abs().sum(dim=-1)
    outside = batch["loss_weights"] == 0
    assert (gradient[outside] == 0).all()
    assert (gradient[~outside] > 0).all()
    # The first row's first unmasked token behind the start, read by the decoder in front of what is masked later.
    changed = {**batch, "decoder_input_ids": batch["decoder_input_ids"].clone()}
    changed["decoder_input_ids"][0, 1] = data.tokens.text_ids[0] + 1
    assert objective(model, changed).total.item() != pytest.approx(loss.total.item(), abs=1e-6)
    assert torch.equal(batch["decoder_input_ids"][:, 1:], batch["labels"][:, :-1])
