"""The loop that turns combined logits into texts, one token per step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from omnitrain.api import numpy_generator
from omnitrain.errors import UsageError
from omnitrain_eft.models.decoding.plain import Steps
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.ensemble import Ids, Prompts
from omnitrain_eft.paper.composition import check_distribution
from omnitrain_eft.paper.speculation import draw

GREEDY = Processing(temperature=0.0)
OnToken = Callable[[int, int], None]


@dataclass(frozen=True)
class Decoding:
    """How texts are continued. processing: temperature, cuts, penalties.

    seed: each text has its own stream of draws, numbered from first_text, so that it depends on no other text; of sampled
    speculative texts that holds up to the last block, which is cut where the longest text of the batch ends. Their law is
    the same.
    block_size: drafted tokens of a speculative round, 0 for plain decoding. adaptive: choose up to block_size by the
    acceptance so far. draft: number of the expert that drafts; nothing means: that of the largest weight.
    """

    max_new_tokens: int = 64
    processing: Processing = GREEDY
    seed: int = 0
    first_text: int = 0
    block_size: int = 0
    adaptive: bool = False
    draft: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or self.block_size < 0:
            raise UsageError(
                f"max_new_tokens must be at least 1 and block_size at least 0; found {self.max_new_tokens}, {self.block_size}"
            )


@dataclass
class Counts:
    """Forward passes and, of speculation, what was drafted. tokens: new ones, EOS included."""

    tokens: int = 0
    large_passes: int = 0
    small_passes: int = 0
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    rejected: int = 0


@dataclass
class Generated:
    """New tokens of each row, the end of sequence included where it came (`ended`)."""

    rows: list[list[int]]
    ended: list[bool]
    counts: Counts = field(default_factory=Counts)

    def padded(self, pad: int) -> list[list[int]]:
        """Return the rows at equal length."""
        width = max(map(len, self.rows))
        return [row + [pad] * (width - len(row)) for row in self.rows]

    def without_eos(self) -> list[list[int]]:
        """Return the rows without the end of sequence."""
        return [row[:-1] if ended else row for row, ended in zip(self.rows, self.ended, strict=True)]


class Draws:
    """The uniform numbers of each text: a stream of its own that goes on as far as it is asked."""

    def __init__(self, seed: int, texts: Sequence[int]) -> None:
        self._streams = [numpy_generator((seed * 0x9E3779B97F4A7C15 + t * 0xD1342543DE82EF95 + 1) % 2**64) for t in texts]

    def take(self, rows: Sequence[int], count: int, device: torch.device) -> Tensor:
        """Return float64[rows, count] in [0, 1), the next numbers of these rows."""
        return torch.from_numpy(np.stack([self._streams[row].random(count) for row in rows])).to(device)


def choose(z: Tensor, processing: Processing, uniforms: Tensor | None) -> Tensor:
    """Return the next token of each row, int64[batch]. z: processed and warped logits; uniforms: none where greedy."""
    if processing.greedy or uniforms is None:
        return z.argmax(dim=-1)
    return draw(z.softmax(dim=-1), uniforms)


def histories_of(prompts: Ids | Prompts, rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return what processors take for the text so far: the large base's prompt and the new tokens."""
    first = prompts.large if isinstance(prompts, Prompts) else prompts
    return [[*prompt, *row] for prompt, row in zip(first, rows, strict=True)]


@torch.no_grad()
def generate(
    decoder: Steps,
    prompts: Ids | Prompts,
    settings: Decoding,
    eos_ids: Sequence[int],
    pad: int,
    on_token: OnToken | None = None,
) -> Generated:
    """Continue prompts token by token until the end of sequence or max_new_tokens.

    A finished row reads its end and then `pad` and gives nothing; a pad that is drawn in an open row is a token like others.
    on_token: called as (row, token), without the end of sequence. Raises NumericalError for logits that are no
    distribution.
    """
    processing = settings.processing
    count = len(prompts.large) if isinstance(prompts, Prompts) else len(prompts)
    rows: list[list[int]] = [[] for _ in range(count)]
    ended = [False] * count
    every = list(range(count))
    draws = Draws(settings.seed, [settings.first_text + i for i in every])
    ends = set(eos_ids)
    z = decoder.start(prompts)
    for step in range(settings.max_new_tokens):
        check_distribution(z)
        histories = histories_of(prompts, rows) if processing.reads_history else ()
        z = processing(z, histories, [step] * count, eos_ids)
        tokens = choose(z, processing, None if processing.greedy else draws.take(every, 1, z.device)[:, 0])
        if any(ended):
            tokens = tokens.masked_fill(torch.tensor(ended, device=tokens.device), pad)
        for row, token in enumerate(tokens.tolist()):
            if ended[row]:
                continue
            rows[row].append(token)
            ended[row] = token in ends
            if on_token is not None and not ended[row]:
                on_token(row, token)
        if all(ended) or step + 1 == settings.max_new_tokens:
            break
        z = decoder.step(tokens)
    return Generated(rows, ended, Counts(sum(map(len, rows)), *decoder.passes()))
