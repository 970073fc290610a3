"""What a set of low-rank factors for each example costs beside the frozen backbone alone."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import torch
from torch import Tensor, nn

from omnitrain.api import Bar, Bench
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.lowrank import LowRankPet
from omnitrain_tuning.methods import SelectingSites

WIDTH, LAYERS, HEADS, TOKENS, BATCH = 768, 6, 12, 45, 16
ENTRIES, RANK, ROLES = 30, 8, ("query", "value", "feed_forward")
DEAREST = 1.1


def modulated(width: int = WIDTH, layers: int = LAYERS, heads: int = HEADS) -> tuple[nn.Module, SelectingSites]:
    """Return a GPT-2 of L2M's shape (arXiv 2306.14884) and its pool of 30 sets of factors, in place."""
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=2, bos_token_id=0, eos_token_id=1, n_positions=64, n_embd=width, n_layer=layers, n_head=heads
    )
    model = GPT2Model(config).eval().requires_grad_(False)
    method = LowRankPet(RANK, range(layers), ROLES, 2.0, entries=ENTRIES, feed_forward_of="output")
    attached = method.attach(model, find_blocks(model))
    with torch.no_grad():
        for parameter in attached.add("pool").parameters():
            parameter.normal_(std=0.02)
    return model, attached


def forwards(model: nn.Module, attached: SelectingSites, batch: int = BATCH) -> dict[str, Callable[[], Tensor]]:
    """Return forward passes over the same embeddings, by name; the last two give the same."""
    width = int(model.config.hidden_size)  # type: ignore[union-attr,arg-type]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, TOKENS, width, generator=generator)
    chosen = torch.randint(0, ENTRIES, (batch,), generator=generator)

    @torch.no_grad()
    def run(rows: Tensor, entries: Tensor | None) -> Tensor:
        attached.use([] if entries is None else ["pool"])
        attached.select(entries)
        found: Tensor = model(inputs_embeds=rows, use_cache=False).last_hidden_state
        return found

    def one_by_one() -> Tensor:
        return torch.cat([run(x[i : i + 1], chosen[i : i + 1]) for i in range(batch)])

    return {
        "frozen backbone": lambda: run(x, None),
        "example by example": one_by_one,
        "a set for each example": lambda: run(x, chosen),
    }


def benches() -> list[Bench]:
    """Return the bench of one forward pass."""
    torch.set_num_threads(1)

    def seconds(work: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            began = process_time()
            work()
            return 1e3 * (process_time() - began)

        return measure

    works = forwards(*modulated())
    return [
        Bench(
            name="factors by example",
            summary=f"GPT-2, width {WIDTH}, {LAYERS} layers, {BATCH} rows of {TOKENS} tokens; {ENTRIES} sets of rank {RANK}.",
            unit="ms a batch",
            ours="a set for each example",
            variants={name: seconds(work) for name, work in works.items()},
            bars=(Bar("frozen backbone", 1 / DEAREST),),
            rounds=9,
        )
    ]
