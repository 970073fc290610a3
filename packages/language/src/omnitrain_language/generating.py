"""Models of transformers write through their own `generate`; what is drawn comes from streams of our own.

A logits processor that leaves one token of each row makes `generate`, told to be greedy, choose what was drawn. So the global
generators are not touched, and a text depends on (seed, prompt, sample) alone, whatever the batch.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.errors import UsageError
from omnitrain_language.decoding import OnToken, left_padded
from omnitrain_language.masks import prompts_as_prefixes
from omnitrain_language.sampling import GenerationSettings, choose, uniform_draws

Processor = Callable[[Tensor, Tensor], Tensor]
"""From (ids int64[rows, length], logits float32[rows, vocabulary]) to logits; ids begin with the padded prompt."""
Ended = Callable[[int, Sequence[int]], bool]
"""Whether new ids of a prompt, by its place in the batch, end a text beside the ends of sequence."""
# What chooses tokens in another way than greedily or by beams, and what only asks for more than ids.
_OTHER_WAYS = ("penalty_alpha", "dola_layers", "prompt_lookup_num_tokens", "num_beam_groups", "diversity_penalty", "max_time")
_DRAWS = ("temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")
_ANSWERS = ("return_dict_in_generate", "output_scores", "output_logits", "output_attentions", "output_hidden_states")


def generating_model(model: nn.Module) -> Any | None:
    """Return the model of transformers inside adapters and compilation that can write text, None where there is none."""
    from transformers import GenerationMixin

    inner: Any = getattr(model, "_orig_mod", model)
    base = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    return base if isinstance(base, GenerationMixin) else None


def generate_rows(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    settings: GenerationSettings,
    eos_ids: Sequence[int],
    pad: int,
    *,
    numbers: Sequence[int] | None = None,
    begin: Sequence[int] = (),
    ended: Ended | None = None,
    processors: Sequence[Processor] = (),
    on_token: OnToken | None = None,
) -> list[list[int]]:
    """Continue one batch of prompts; return the new ids without an end of sequence, `settings.samples` rows of each prompt.

    What the saved generation_config of the model says beside these settings counts too: forced and suppressed ids, penalties.
    prompts: of an encoder-decoder the encoder's inputs. numbers: of the prompts, which choose their draws; else their places.
    begin: ids of every answer's beginning, of an encoder-decoder. processors: change the logits before a token is chosen.
    on_token: called as (row, token); with beams there is no order in which it could be.
    Raises UsageError for a model that is none of transformers' and for an empty prompt.
    """
    base = generating_model(model)
    if base is None:
        raise UsageError(
            f"{type(model).__name__} is no generating model of transformers: give its predictor a `continue_ids` of its own"
        )
    two_sided = bool(base.config.is_encoder_decoder)
    inputs = _inputs(base, prompts, pad, begin)
    started = inputs.get("decoder_input_ids")
    before = inputs["input_ids"].shape[1] if not two_sided else 1 if started is None else started.shape[1]
    rows = _Rows(len(prompts), before, set(eos_ids), ended)
    own, each = list(processors), settings.samples
    if settings.temperature:
        known = range(len(prompts)) if numbers is None else numbers
        own.append(_Draws(settings, known, before, inputs["input_ids"].device))
    more: dict[str, Any] = {"logits_processor": own} if own else {}
    if ended is not None:
        more["stopping_criteria"] = [rows.stopping]
    if on_token is not None and settings.num_beams == 1:
        more["streamer"] = _Streamer(rows, each, on_token)
    expand = each if settings.temperature else 1
    given = {name: value.repeat_interleave(expand, dim=0) for name, value in inputs.items()}
    prefix = (
        prompts_as_prefixes(base, inputs["attention_mask"])
        if getattr(base.config, "prefix_attention", False)
        else nullcontext()
    )
    with torch.no_grad(), prefix, _configured(base, settings, eos_ids, pad) as config:
        found = base.generate(**given, generation_config=config, **_listed(more))
    return [rows.cut(row // each, ids) for row, ids in enumerate(found[:, before:].tolist())]


def _listed(more: dict[str, Any]) -> dict[str, Any]:
    from transformers import LogitsProcessorList, StoppingCriteriaList

    kinds = {"logits_processor": LogitsProcessorList, "stopping_criteria": StoppingCriteriaList}
    return {name: kinds[name](value) if name in kinds else value for name, value in more.items()}


def _inputs(base: Any, prompts: Sequence[Sequence[int]], pad: int, begin: Sequence[int]) -> dict[str, Tensor]:
    device = next(base.parameters()).device
    if not base.config.is_encoder_decoder:
        if not all(len(p) for p in prompts):
            raise UsageError("a decoder-only model can't continue an empty prompt: begin it with the start token")
        ids, mask = left_padded([[*p, *begin] for p in prompts], pad, device)
        return {"input_ids": ids, "attention_mask": mask}
    width = max(1, *(len(p) for p in prompts))
    ids = torch.tensor([list(p) + [pad] * (width - len(p)) for p in prompts], device=device)
    mask = torch.tensor([[i < len(p) for i in range(width)] for p in prompts], device=device)
    found = {"input_ids": ids, "attention_mask": mask}
    if begin:
        saved = base.generation_config
        forced = [] if saved.forced_bos_token_id is None else [int(saved.forced_bos_token_id)]
        start = [int(saved.decoder_start_token_id), *forced, *begin]
        found["decoder_input_ids"] = torch.tensor([start] * len(prompts), device=device)
    return found


@contextmanager
def _configured(base: Any, settings: GenerationSettings, eos_ids: Sequence[int], pad: int) -> Iterator[Any]:
    """Yield the model's generation_config with these settings in it, which the model has while the block runs."""
    saved = base.generation_config
    config = copy.deepcopy(saved)
    for name in (*_OTHER_WAYS, *_DRAWS, *_ANSWERS):
        setattr(config, name, None)
    banned = [*(config.suppress_tokens or ()), *settings.banned_ids]
    config.update(
        do_sample=False,
        max_new_tokens=settings.max_new_tokens,
        max_length=None,
        min_new_tokens=settings.min_new_tokens or None,
        num_beams=settings.num_beams,
        num_return_sequences=1 if settings.temperature else settings.samples,
        no_repeat_ngram_size=settings.no_repeat_ngram_size or None,
        length_penalty=settings.length_penalty if settings.num_beams > 1 else None,
        early_stopping=settings.early_stopping if settings.num_beams > 1 else None,
        suppress_tokens=banned or None,
        stop_strings=None,
        eos_token_id=list(eos_ids) or None,
        pad_token_id=pad,
        use_cache=True,
    )
    base.generation_config = config
    try:
        yield config
    finally:
        base.generation_config = saved


class _Draws:
    """Leaves of each row's logits the token that its own stream draws."""

    def __init__(self, settings: GenerationSettings, numbers: Sequence[int], before: int, device: torch.device) -> None:
        most = settings.max_new_tokens
        rows = [uniform_draws(settings.seed, number, most, sample) for number in numbers for sample in range(settings.samples)]
        self._settings, self._draws, self._before = settings, torch.stack(rows).to(device), before

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        tokens = choose(scores, self._settings, self._draws[:, input_ids.shape[1] - self._before])
        return torch.full_like(scores, -torch.inf).scatter_(1, tokens[:, None], 0.0)


class _Rows:
    """Where the rows of a batch end. rows: new ids follow each other by prompt, samples or beams of one side by side."""

    def __init__(self, prompts: int, before: int, ends: set[int], ended: Ended | None) -> None:
        self._prompts, self._before, self._ends, self._ended = prompts, before, ends, ended

    def stopping(self, input_ids: Tensor, scores: Any, **more: Any) -> Tensor:
        """Tell which rows need no further token, bool[rows]."""
        each = len(input_ids) // self._prompts
        new = input_ids[:, self._before :].tolist()
        return torch.tensor([self.is_ended(row // each, ids) for row, ids in enumerate(new)], device=input_ids.device)

    def is_ended(self, place: int, ids: Sequence[int]) -> bool:
        """Whether these new ids of a prompt hold an end."""
        return not self._ends.isdisjoint(ids) or (self._ended is not None and self._ended(place, ids))

    def cut(self, place: int, ids: list[int]) -> list[int]:
        """Return the ids in front of the first end of sequence; those that end a text otherwise are kept."""
        known = next((count for count, token in enumerate(ids) if token in self._ends), len(ids))
        kept = ids[:known]
        if self._ended is not None and self._ended(place, kept):
            first = bisect_left(range(1, known + 1), True, key=lambda count: self.is_ended(place, kept[:count]))
            return kept[: first + 1]
        return kept


class _Streamer:
    """Hands tokens on as `generate` chooses them, each row until its end."""

    def __init__(self, rows: _Rows, each: int, on_token: OnToken) -> None:
        self._rows, self._each, self._on_token = rows, each, on_token
        self._written: dict[int, list[int]] = {}

    def put(self, value: Tensor) -> None:
        """Take the prompts, [rows, length], and then a token of each row, [rows]."""
        if value.ndim > 1:
            return
        for row, token in enumerate(value.tolist()):
            ids, place = self._written.setdefault(row, []), row // self._each
            if self._rows.is_ended(place, ids):
                continue
            ids.append(token)
            if self._rows.cut(place, ids) == ids:
                self._on_token(row, token)

    def end(self) -> None:
        """Nothing is kept back."""
