"""What sees what: models on real batches of both layouts, alone and packed."""

import pytest
import torch

from omnitrain.api import BatchPlan
from omnitrain_language.configs.models import CausalConfig, T5Config
from omnitrain_language.configs.objectives import CausalNllConfig, Seq2SeqNllConfig
from omnitrain_language.models import build_causal, build_t5
from omnitrain_language.objectives import build_causal as causal_nll
from omnitrain_language.objectives import build_seq2seq as seq2seq_nll
from omnitrain_language.objectives import model_inputs
from omnitrain_ul2.data.examples import Examples
from omnitrain_ul2.data.stream import ExampleSource

STYLES = ["llama", "gpt2"]


def decoder(data, context, style="llama"):
    context.facts = data.facts()
    config = CausalConfig(size="tiny", style=style, prefix_attention=True, max_length=512)
    return build_causal(config, context).eval()


def t5(data, context):
    context.facts = data.facts()
    return build_t5(T5Config(size="tiny"), context).eval()


def logits(model, batch):
    with torch.no_grad():
        return model(**model_inputs(batch), use_cache=False).logits


def first_batch(data, rows):
    return next(iter(data.batches("train", BatchPlan(rows, 0))))


def changed(batch, field, row, column):
    other = {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    other[field][row, column] = 300 if batch[field][row, column] != 300 else 301
    return other


@pytest.mark.parametrize("style", STYLES)
def test_targets_never_see_later_targets_and_inputs_see_all_inputs(make_data, context, style):
    data = make_data(layout="decoder-only")
    model, batch = decoder(data, context, style), first_batch(data, 6)
    before = logits(model, batch)
    for row in range(6):
        split, end = int(batch["prefix_mask"][row].sum()) - 1, int(batch["attention_mask"][row].sum())
        later = logits(model, changed(batch, "input_ids", row, end - 1))[row]
        assert torch.equal(later[: end - 1], before[row, : end - 1])
        assert not torch.equal(later[end - 1], before[row, end - 1])
        last_input = logits(model, changed(batch, "input_ids", row, split))[row]
        assert (last_input[:end] != before[row, :end]).any(dim=1).all()


@pytest.mark.parametrize("style", STYLES)
def test_padding_is_inert(make_data, context, style):
    data = make_data(layout="decoder-only")
    model, batch = decoder(data, context, style), first_batch(data, 8)
    before, real = logits(model, batch), batch["attention_mask"]
    assert not real.all()
    other = {**batch, "input_ids": torch.where(real, batch["input_ids"], 333)}
    assert torch.equal(logits(model, other)[real], before[real])


def test_gradient_of_a_target_reaches_all_inputs_and_no_later_target(make_data, context):
    data = make_data(layout="decoder-only")
    model, batch = decoder(data, context), first_batch(data, 1)
    split, end = int(batch["prefix_mask"][0].sum()) - 1, int(batch["attention_mask"][0].sum())
    embedded = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_(True)
    # The hook needs the ids for their shape; the embedding is put in behind it.
    handle = model.get_input_embeddings().register_forward_hook(lambda *_: embedded)
    out = model(**model_inputs(batch), use_cache=False).logits
    handle.remove()
    out[0, split + 1].sum().backward()
    reached = embedded.grad[0].abs().sum(dim=1) > 0
    assert reached[: split + 2].all()
    assert not reached[split + 2 : end].any()


def test_encoder_decoder_targets_are_causal_and_inputs_see_each_other(make_data, context):
    data = make_data()
    model, batch = t5(data, context), first_batch(data, 4)
    before = logits(model, batch)
    length = int(batch["loss_weights"][0].sum())
    later = logits(model, changed(batch, "decoder_input_ids", 0, length - 1))[0]
    assert torch.equal(later[: length - 1], before[0, : length - 1])
    assert not torch.equal(later[length - 1], before[0, length - 1])
    last = int(batch["attention_mask"][0].sum()) - 1

    def hidden(b):
        with torch.no_grad():
            return model.get_encoder()(input_ids=b["input_ids"], attention_mask=b["attention_mask"])[0]

    assert not torch.equal(hidden(changed(batch, "input_ids", 0, last))[0, 0], hidden(batch)[0, 0])


def test_both_layouts_hold_the_same_examples(make_data):
    two, one = (first_batch(make_data(layout=layout), 32) for layout in ("encoder-decoder", "decoder-only"))
    assert torch.equal(two["task_ids"], one["task_ids"])
    for row in range(32):
        inputs = two["input_ids"][row][two["attention_mask"][row]]
        targets = two["labels"][row][two["loss_weights"][row] > 0]
        prefix = one["prefix_mask"][row]
        assert torch.equal(one["input_ids"][row][prefix][1:], inputs[:-1])
        assert torch.equal(one["labels"][row][one["loss_weights"][row] > 0], targets)
        whole = one["input_ids"][row][one["attention_mask"][row]]
        assert torch.equal(whole[int(prefix.sum()) :], targets[:-1])


def packed_and_alone(data, rows=3):
    """Return a packed batch and the same examples one a row."""
    source = ExampleSource(data.corrupter, "train", BatchPlan(8, 0))
    examples = source.draw(3 * rows)
    row = torch.arange(3 * rows).numpy() % rows
    return data.corrupter.lay_out_packed(examples, row, rows), data.corrupter.lay_out(examples), row


PACKED = {"pack": True, "packed_inputs_length": 200, "packed_targets_length": 200}


@pytest.mark.parametrize("layout", ["encoder-decoder", "decoder-only"])
def test_packed_loss_is_the_sum_of_the_losses_of_its_examples(make_data, context, layout):
    data = make_data(layout=layout, **PACKED)
    packed, alone, _ = packed_and_alone(data)
    if layout == "encoder-decoder":
        model, objective = t5(data, context), seq2seq_nll(Seq2SeqNllConfig(group="task_ids"), context)
    else:
        model, objective = decoder(data, context), causal_nll(CausalNllConfig(group="task_ids"), context)
    with torch.no_grad():
        one, many = objective(model, packed), objective(model, alone)
    assert float(one.weight) == float(many.weight)
    assert float(one.total) == pytest.approx(float(many.total), rel=1e-5)
    for name, part in many.parts.items():
        assert float(one.parts[name].weight) == float(part.weight)
        assert float(one.parts[name].total) == pytest.approx(float(part.total), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("layout", ["encoder-decoder", "decoder-only"])
def test_packed_neighbours_do_not_influence_each_other(make_data, context, layout):
    data = make_data(layout=layout, **PACKED)
    packed, _, _ = packed_and_alone(data)
    model = t5(data, context) if layout == "encoder-decoder" else decoder(data, context)
    before = logits(model, packed)
    inside, outside = ("input_segment_ids", "target_segment_ids") if layout == "encoder-decoder" else ("segment_ids",) * 2
    fields = ("input_ids", "decoder_input_ids") if layout == "encoder-decoder" else ("input_ids",)
    other = {name: value.clone() for name, value in packed.items() if isinstance(value, torch.Tensor)}
    for field in fields:
        segments = packed[inside if field == "input_ids" else outside]
        other[field] = torch.where(segments == 2, 333, packed[field])
    after = logits(model, other)
    segments = packed[outside]
    assert torch.equal(after[segments == 1], before[segments == 1])
    assert torch.equal(after[segments == 3], before[segments == 3])
    assert not torch.equal(after[segments == 2], before[segments == 2])


def test_packed_fields_restart_in_each_example_and_mark_padding(make_data):
    data = make_data(**PACKED)
    packed, alone, row = packed_and_alone(data)
    segments = packed["target_segment_ids"]
    starts = (segments != torch.nn.functional.pad(segments, (1, 0))[:, :-1]) & (segments > 0)
    assert (packed["decoder_input_ids"][starts] == data.vocabulary.pad_id).all()
    assert int(starts.sum()) == len(row)
    assert torch.equal(packed["loss_weights"] > 0, segments > 0)
    assert (packed["task_ids"][segments == 0] == -1).all()
    assert (packed["input_ids"][packed["input_segment_ids"] == 0] == data.vocabulary.pad_id).all()
    for number in range(len(row)):
        mine = packed["input_segment_ids"][row[number]] == number // 3 + 1
        assert torch.equal(packed["input_ids"][row[number]][mine], alone["input_ids"][number][alone["attention_mask"][number]])


def test_packed_decoder_rows_restart_positions_and_prefixes(make_data):
    data = make_data(layout="decoder-only", **PACKED)
    packed, alone, row = packed_and_alone(data)
    for number in range(len(row)):
        mine, real = packed["segment_ids"][row[number]] == number // 3 + 1, alone["attention_mask"][number]
        assert packed["position_ids"][row[number]][mine].tolist() == list(range(int(real.sum())))
        for name in ("input_ids", "labels", "prefix_mask", "loss_weights"):
            assert torch.equal(packed[name][row[number]][mine], alone[name][number][real])


def test_packing_fills_rows_that_would_be_mostly_padding(make_data):
    fill = {}
    for pack in (False, True):
        lengths = {"packed_inputs_length": 256, "packed_targets_length": 128} if pack else {}
        stream = make_data(pack=pack, **lengths).batches("train", BatchPlan(32, 0))
        for _, _ in zip(range(10), stream, strict=False):
            pass
        fill[pack] = stream.seen.used / stream.seen.room
    assert fill[False][1] < 0.55
    assert (fill[True] > 0.8).all()


def test_examples_that_wait_are_whole(make_data):
    stream = make_data(pack=True).batches("train", BatchPlan(4, 0))
    next(iter(stream))
    waiting = stream._waiting
    assert isinstance(waiting, Examples)
    assert (waiting.sides.input_lengths > 0).all()
