"""A step on preference pairs beside the forward and backward pass of its model alone."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import torch

from omnitrain.api import Bar, Bench
from omnitrain.engine import Engine
from omnitrain_language.configs.objectives import PreferenceConfig
from omnitrain_language.dialogues.rows import Row
from omnitrain_language.preferences.batches import Pair, collate_pairs
from omnitrain_language.preferences.objective import preference

PAIRS, PROMPT, RESPONSE, VOCABULARY, WIDTH, LAYERS, HEADS = 8, 32, 96, 4096, 256, 4, 4


def preference_bench() -> Bench:
    """Return the bench of DPO's step; what it adds to the model's own work is the log-softmax, the loss and what is told."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, pad_token_id=None, **shape))
    batch = collate_pairs([_pair(number) for number in range(PAIRS)], 0)
    batch |= {name: torch.full((PAIRS,), -300.0) for name in ("reference_chosen", "reference_rejected")}
    engine, objective = Engine("float32", "cpu"), preference(PreferenceConfig())
    ids, mask = (batch[name].flatten(0, 1) for name in ("input_ids", "attention_mask"))
    gradient = torch.full((2 * PAIRS, batch["labels"].shape[-1], VOCABULARY), 1e-6)

    def step() -> None:
        loss = objective(model, batch)  # type: ignore[operator]
        engine.backward(loss.total)

    def bare() -> None:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=gradient.shape[1]).logits
        logits.backward(gradient)

    return Bench(
        name="preference step",
        summary=f"DPO on {PAIRS} pairs of {PROMPT} + {RESPONSE} tokens, Llama of {LAYERS} x {WIDTH}, {VOCABULARY} ids.",
        unit="ms a step",
        ours="preference step",
        variants={"preference step": _timed(step, model), "forward and backward alone": _timed(bare, model)},
        bars=(Bar("forward and backward alone", 1 / 1.05),),
        rounds=9,
    )


def _pair(number: int) -> Pair:
    draw = torch.Generator().manual_seed(number)

    def ids(count: int) -> list[int]:
        return torch.randint(2, VOCABULARY, (count,), generator=draw).tolist()

    prompt, chosen, rejected = ids(PROMPT), ids(RESPONSE), ids(RESPONSE)
    return Pair(Row(prompt, chosen, [0] * RESPONSE), Row(prompt, rejected, [0] * RESPONSE))


def _timed(work: Callable[[], None], model: torch.nn.Module) -> Callable[[], float]:
    def measure() -> float:
        model.zero_grad(set_to_none=True)
        began = process_time()
        work()
        return 1e3 * (process_time() - began)

    return measure
