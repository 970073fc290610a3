"""Speculative decoding for up-scaling: the fine-tuned small model drafts, one pass of the others verifies (section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from omnitrain_eft.models.caches import CachedModel
from omnitrain_eft.models.decoding.loop import Counts, Decoding, Draws, Generated, OnToken, choose, histories_of
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.models.ensemble import Ensemble, Ids, Prompts, SmallModels
from omnitrain_eft.paper.composition import Dials, check_distribution, in_float32
from omnitrain_eft.paper.speculation import BlockSize, Verdict, verify, verify_greedy


class SpeculativeLoop:
    """A batch that is decoded in rounds; rows accept different numbers of tokens and leave when they are finished.

    Between rounds all caches hold everything but each row's last token.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        dials: Dials,
        prompts: Ids | Prompts,
        settings: Decoding,
        eos_ids: Sequence[int],
        pad: int,
    ) -> None:
        self.ensemble, self.dials, self.settings, self.pad = ensemble, dials, settings, pad
        self.prompts = prompts if isinstance(prompts, Prompts) else Prompts.shared(prompts, len(ensemble.small))
        self.eos_ids, self.ends = list(eos_ids), set(eos_ids)
        self.draft_member = ensemble.draft(dials, settings.draft)
        others = [i for i in range(len(ensemble.small)) if i != self.draft_member]
        self.large = CachedModel(ensemble.large, ensemble.pad, "the large base")
        self.draft = SmallModels(ensemble, [self.draft_member], stacked=False)
        self.others = SmallModels(ensemble, others)
        count = len(self.prompts.large)
        self.rows: list[list[int]] = [[] for _ in range(count)]
        self.ended = [False] * count
        self.open = list(range(count))
        self.draws = Draws(settings.seed, [settings.first_text + i for i in range(count)])
        self.block = BlockSize(settings.block_size, settings.adaptive, _cost(ensemble))
        self.counts = Counts()

    @property
    def processing(self) -> Processing:
        """Temperature, cuts, penalties."""
        return self.settings.processing

    def run(self, on_token: OnToken | None = None) -> Generated:
        """Decode until every row is finished.

        Raises UsageError for models whose caches can't be rolled back.
        """
        for model in (self.large, *(lane.model for group in (self.draft, self.others) for lane in group.lanes)):
            model.check_rollback()
        last = self._first(on_token)
        while self.open:
            remaining = max(self.settings.max_new_tokens - len(self.rows[row]) for row in self.open)
            block = min(self.block.next(), remaining - 1)
            last = self._round(last, block, on_token)
        lanes = [lane.model.passes for group in (self.draft, self.others) for lane in group.lanes]
        self.counts.tokens = sum(map(len, self.rows))
        self.counts.large_passes, self.counts.small_passes = self.large.passes, sum(lanes)
        return Generated(self.rows, self.ended, self.counts)

    def _first(self, on_token: OnToken | None) -> Tensor:
        """Read the prompts and draw each row's first token; return the last tokens of the open rows, int64[open]."""
        small = {**self.draft.start(self.prompts), **self.others.start(self.prompts)}
        z = self._combined(self.large.start(self.prompts.large), small)
        z = self._processed(z, [[] for _ in self.open])
        uniforms = None if self.processing.greedy else self.draws.take(self.open, 1, z.device)[:, 0]
        tokens = choose(z[:, 0], self.processing, uniforms)
        return self._accept_tokens(tokens[:, None], [1] * len(self.open), on_token)

    def _combined(self, large: Tensor, small: dict[int, Tensor]) -> Tensor:
        z = self.ensemble.combined(large, [small[i] for i in range(len(self.ensemble.small))], self.dials)
        check_distribution(z)
        return z

    def _processed(self, z: Tensor, drafted: Sequence[Sequence[int]], start: int = 0) -> Tensor:
        """Return z [open, positions, vocabulary] as tokens are drawn from it; position i stands behind drafted[:start + i]."""
        processing = self.processing
        z = in_float32(z)
        if not (processing.reads_history or processing.banned_ids or processing.min_new_tokens):
            return processing.warp(z)
        texts = [self.rows[row] for row in self.open]
        own = Prompts([self.prompts.large[row] for row in self.open], [])
        columns = []
        for place in range(z.shape[1]):
            extended = [[*text, *more[: start + place]] for text, more in zip(texts, drafted, strict=True)]
            histories = histories_of(own, extended) if processing.reads_history else ()
            columns.append(processing.process(z[:, place], histories, [len(t) for t in extended], self.eos_ids))
        return processing.warp(torch.stack(columns, dim=1))

    def _round(self, last: Tensor, block: int, on_token: OnToken | None) -> Tensor:
        """Draft `block` tokens, verify them, keep what is accepted; return the new last tokens."""
        device = last.device
        uniforms = None if self.processing.greedy else self.draws.take(self.open, 2 * block + 1, device)
        chunk, raw, q = self._draft(last, block, uniforms)
        drafted = chunk[:, 1:]
        large, others = self.large.extend(chunk), self.others.extend(chunk)
        listed: list[list[int]] = drafted.tolist()

        def bonus() -> Tensor:
            expert = self.draft.extend(chunk[:, block:])
            behind = self._combined(large[:, block:], {**{i: t[:, block:] for i, t in others.items()}, **expert})
            row = self._processed(behind, listed, block)[:, 0]
            return row.argmax(dim=-1) if self.processing.greedy else row.softmax(dim=-1)

        small = {i: t[:, :block] for i, t in others.items()}
        if block:
            z = self._processed(self._combined(large[:, :block], {**small, self.draft_member: raw}), listed)
        else:
            z = large[:, :0, : self.ensemble.vocabulary]
        verdict = self._judge(z, q, drafted, uniforms, bonus)
        accepted: list[int] = verdict.accepted.tolist()
        self._count(verdict, block, accepted)
        tokens = torch.cat([drafted, verdict.next_token[:, None]], dim=1)
        tokens[torch.arange(len(tokens), device=device), verdict.accepted] = verdict.next_token
        kept = verdict.accepted + 1
        self.large.keep(kept, block + 1)
        self.others.keep(kept, block + 1)
        # The draft has read the last drafted token only where a row accepted the whole block and asked for the bonus.
        fed = block + 1 if max(accepted) == block else block
        self.draft.keep(kept, fed)
        return self._accept_tokens(tokens, [a + 1 for a in accepted], on_token)

    def _draft(self, last: Tensor, block: int, uniforms: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return (last and drafted tokens int64[open, block + 1], the draft's logits, its processed logits)."""
        tokens, raw, processed = [last], [], []
        for place in range(block):
            logits = self.draft.extend(tokens[-1][:, None])[self.draft_member]
            raw.append(logits)
            z = logits[:, 0, : self.ensemble.vocabulary]
            so_far = [list(row) for row in zip(*(t.tolist() for t in tokens[1:]), strict=True)] if place else []
            q = self._processed(z[:, None], so_far or [[] for _ in self.open], place)[:, 0]
            processed.append(q)
            tokens.append(choose(q, self.processing, None if uniforms is None else uniforms[:, place]))
        chunk = torch.stack(tokens, dim=1)
        if not block:
            return chunk, last.new_zeros(0), last.new_zeros((len(last), 0, self.ensemble.vocabulary), dtype=torch.float32)
        return chunk, torch.cat(raw, dim=1), torch.stack(processed, dim=1)

    def _judge(self, z: Tensor, q: Tensor, drafted: Tensor, uniforms: Tensor | None, bonus: Callable[[], Tensor]) -> Verdict:
        block = drafted.shape[1]
        if uniforms is None:
            return verify_greedy(z.argmax(dim=-1) if block else drafted, drafted, bonus)
        return verify(
            z.softmax(-1), q.to(z.dtype).softmax(-1), drafted, uniforms[:, block : 2 * block], uniforms[:, 2 * block], bonus
        )

    def _count(self, verdict: Verdict, block: int, accepted: Sequence[int]) -> None:
        refused = int(verdict.rejected.sum())
        self.block.observe(sum(accepted), refused)
        self.counts.rounds += len(self.open)
        self.counts.drafted += block * len(self.open)
        self.counts.accepted += sum(accepted)
        self.counts.rejected += refused

    def _accept_tokens(self, tokens: Tensor, counts: Sequence[int], on_token: OnToken | None) -> Tensor:
        """Write each open row's first counts[i] tokens, up to its end; drop rows that are finished from the batch."""
        going: list[int] = []
        listed: list[list[int]] = tokens.tolist()
        for place, row in enumerate(self.open):
            for token in listed[place][: counts[place]]:
                self.rows[row].append(token)
                self.ended[row] = token in self.ends
                if on_token is not None and not self.ended[row]:
                    on_token(row, token)
                if self.ended[row] or len(self.rows[row]) == self.settings.max_new_tokens:
                    break
            else:
                going.append(place)
        last = tokens.gather(1, (torch.tensor(counts, device=tokens.device) - 1)[:, None])[:, 0]
        if len(going) < len(self.open):
            batch = len(self.open)
            self.open = [self.open[place] for place in going]
            if not self.open:
                return last[:0]
            index = torch.tensor(going, device=tokens.device)
            self.large.reorder(index)
            self.draft.reorder(index, batch)
            self.others.reorder(index, batch)
            last = last[index]
        return last


def _cost(ensemble: Ensemble) -> float:
    """Return the share of a small pass in a large one that the adaptive block size assumes: weights read, and a floor."""
    large: int = sum(p.numel() for p in ensemble.large.parameters())
    small: int = sum(p.numel() for p in ensemble.small[ensemble.experts[0]].parameters())
    return min(1.0, max(0.02, small / max(large, 1)))


@torch.no_grad()
def generate_speculatively(
    ensemble: Ensemble,
    dials: Dials,
    prompts: Ids | Prompts,
    settings: Decoding,
    eos_ids: Sequence[int],
    pad: int,
    on_token: OnToken | None = None,
) -> Generated:
    """Continue prompts with the same law as `generate`, greedily token for token the same.

    Raises UsageError where a cache can't be rolled back.
    """
    return SpeculativeLoop(ensemble, dials, prompts, settings, eos_ids, pad).run(on_token)
