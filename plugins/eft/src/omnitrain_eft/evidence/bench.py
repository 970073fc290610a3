"""Speed of composed decoding beside single loops, recomputation and transformers' `generate`, on random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from omnitrain.api import Bar, Bench
from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder, SingleDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.decoding.speculative import generate_speculatively
from omnitrain_eft.models.ensemble import Ensemble, Prompts
from omnitrain_eft.paper.composition import Dials
from omnitrain_eft.paper.speculation import ideal_speedup

VOCABULARY, PROMPT, NEW = 5000, 32, 64
SAMPLING = Decoding(NEW, Processing(temperature=1.0))
# Logits of random models are nearly flat; how much the large one moves them sets how often drafts are accepted.
DISAGREEMENT = 0.6


def gpt2(layers: int, width: int, seed: int, head_scale: float = 1.0) -> Any:
    """Return a GPT-2 with random weights. head_scale: factor on its logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=512,
            n_embd=width,
            n_layer=layers,
            n_head=max(1, width // 64),
            activation_function="gelu_pytorch_tanh",
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )
        model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(head_scale)
    return model.requires_grad_(False)


def prompts_of(batch: int) -> list[list[int]]:
    """Return random prompts of 32 tokens."""
    ids: list[list[int]] = torch.randint(1, VOCABULARY, (batch, PROMPT), generator=torch.Generator().manual_seed(7)).tolist()
    return ids


def pair_ensemble(large: Any) -> Ensemble:
    """Return a large model with a pair of 2 x 128."""
    return Ensemble(large, [gpt2(2, 128, 1, 8.0), gpt2(2, 128, 2, 8.0)], [0], [1], 1, 0, VOCABULARY)


def agreeing_ensemble() -> Ensemble:
    """Return an ensemble whose target stays near the draft: its delta is small, by hand, so that most drafts are kept."""
    large, expert, base = gpt2(8, 512, 3, DISAGREEMENT), gpt2(2, 128, 1, 8.0), gpt2(2, 128, 2, 0.0)
    return Ensemble(large, [expert, base], [0], [1], 1, 0, VOCABULARY)


def _cpu_rate(work: Callable[[], Any], tokens: int, repeats: int = 1) -> Callable[[], float]:
    """A variant that gives tokens a second of CPU time."""

    def measure() -> float:
        begin = process_time()
        for _ in range(repeats):
            work()
        return tokens * repeats / max(process_time() - begin, 1e-9)

    return measure


def plain(ensemble: Ensemble, ids: list[list[int]], settings: Decoding = SAMPLING) -> Any:
    """Decode the composition token by token."""
    return generate(CompositionDecoder(ensemble, Dials()), ids, settings, [], 0)


@torch.no_grad()
def _single_steps(model: Any, ids: list[list[int]]) -> Iterator[None]:
    cache = DynamicCache(config=model.config)
    step = torch.tensor(ids)
    for _ in range(NEW):
        logits = model(step, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
        step = logits.argmax(-1, keepdim=True)
        yield


def single_loop(model: Any, ids: list[list[int]]) -> None:
    """The usual loop of one model with transformers' cache: one token a step, greedy."""
    for _ in _single_steps(model, ids):
        pass


def loops_in_turn(models: Sequence[Any], ids: list[list[int]]) -> None:
    """The same loops, each a token at a time: as in a composition, a large model drives small weights out of the caches."""
    for _ in zip(*(_single_steps(model, ids) for model in models), strict=True):
        pass


@torch.no_grad()
def recomputed(ensemble: Ensemble, ids: list[list[int]]) -> Tensor:
    """What a loop without caches does: all models read the whole text for every token."""
    text = torch.tensor(ids)
    for _ in range(NEW):
        large, expert, base = (
            m(text, use_cache=False, logits_to_keep=1).logits[:, -1] for m in (ensemble.large, *ensemble.small)
        )
        z = large.log_softmax(-1) + expert.log_softmax(-1) - base.log_softmax(-1)
        text = torch.cat([text, torch.multinomial(z.softmax(-1), 1)], dim=1)
    return text


def _plain_bench(batch: int, large: Any) -> Bench:
    ensemble, ids = pair_ensemble(large), prompts_of(batch)

    models = (ensemble.large, *ensemble.small)

    def three() -> None:
        for model in models:
            single_loop(model, ids)

    variants = {
        "composed": _cpu_rate(lambda: plain(ensemble, ids), NEW * batch),
        "three single loops": _cpu_rate(three, NEW * batch),
        "the three in turn": _cpu_rate(lambda: loops_in_turn(models, ids), NEW * batch),
    }
    # At most 1.05 x the sum of three loops.
    bars = [Bar("three single loops", 1 / 1.05), Bar("the three in turn", 1 / 1.05)]
    if batch == 1:
        variants["recomputed"] = _cpu_rate(lambda: recomputed(ensemble, ids), NEW * batch)
        bars.append(Bar("recomputed", 2.5))
    summary = f"{NEW} new tokens behind {PROMPT}, large 8x512, pair 2x128"
    return Bench(f"plain, batch {batch}", summary, "tokens/s", "composed", variants, True, bars=tuple(bars))


def _sampling_bench(batch: int) -> Bench:
    model, ids = gpt2(2, 128, 1), prompts_of(batch)
    settings = replace(SAMPLING, processing=Processing(temperature=1.0, top_k=50))
    tensor = torch.tensor(ids)

    def peer() -> None:
        model.generate(
            tensor,
            attention_mask=torch.ones_like(tensor),
            do_sample=True,
            top_k=50,
            max_new_tokens=NEW,
            min_new_tokens=NEW,
            pad_token_id=0,
            eos_token_id=None,
        )

    variants = {
        "own loop": _cpu_rate(lambda: generate(SingleDecoder(model, 0, VOCABULARY), ids, settings, [], 0), NEW * batch, 3),
        "transformers generate": _cpu_rate(peer, NEW * batch, 3),
    }
    bars = (Bar("transformers generate", 1.1),)
    return Bench(f"sampling, batch {batch}", "2x128, top-k 50", "tokens/s", "own loop", variants, True, bars=bars)


def _speculative_bench(block: int, batch: int, ensemble: Ensemble) -> Bench:
    ids = prompts_of(batch)
    members = len(ensemble.small)
    settings = replace(SAMPLING, block_size=block)

    def speculative() -> Any:
        return generate_speculatively(ensemble, Dials(), Prompts.shared(ids, members), settings, [], 0)

    def single(model: Any) -> float:
        begin = perf_counter()
        generate(SingleDecoder(model, 0, VOCABULARY), ids, SAMPLING, [], 0)
        return perf_counter() - begin

    counts = speculative().counts
    acceptance = counts.accepted / max(1, counts.accepted + counts.rejected)
    cost = min(single(ensemble.small[0]) for _ in range(3)) / min(single(ensemble.large) for _ in range(3))
    notes = {
        "acceptance": f"{acceptance:.2f} of drafted tokens",
        "large passes a token": f"{counts.large_passes * batch / counts.tokens:.2f}",
        "predicted": f"{ideal_speedup(acceptance, block, cost):.2f} times plain, at a small pass of {cost:.3f} of a large one",
    }
    variants = {
        f"speculative, block {block}": _cpu_rate(speculative, counts.tokens),
        "plain": _cpu_rate(lambda: plain(ensemble, ids), NEW * batch),
        "large model alone": _cpu_rate(lambda: single(ensemble.large), NEW * batch),
    }
    bars = (Bar("plain", 1.5),) if block in (4, 8) and batch == 1 else ()
    name = f"speculative, block {block}, batch {batch}"
    ours = f"speculative, block {block}"
    return Bench(name, "large 8x512, pair 2x128", "tokens/s", ours, variants, True, bars=bars, notes=notes)


def benches() -> list[Bench]:
    """Plain decoding, sampling, speculation."""
    large = gpt2(8, 512, 3, 8.0)
    agreeing = agreeing_ensemble()
    found = [_plain_bench(batch, large) for batch in (1, 8)]
    found += [_sampling_bench(batch) for batch in (1, 8)]
    return found + [_speculative_bench(block, 1, agreeing) for block in (2, 4, 8)] + [_speculative_bench(4, 8, agreeing)]
