"""From raw segments of a tokenised text to batches: what data and streams share once the vocabulary is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from omnitrain.api import Batch
from omnitrain.errors import DataError, UsageError
from omnitrain_ul2.configs.data import DenoisingConfig
from omnitrain_ul2.data import layouts
from omnitrain_ul2.data.examples import Examples
from omnitrain_ul2.data.segments import Documents, SegmentTable
from omnitrain_ul2.paper.corruption import DenoisingPlan, denoise_batch, plan_batches
from omnitrain_ul2.paper.denoisers import Denoiser
from omnitrain_ul2.paper.mixtures import Mixture
from omnitrain_ul2.paper.sentinels import Corrupted
from omnitrain_ul2.paper.spans import Ints
from omnitrain_ul2.paper.vocabulary import Vocabulary

UNLIMITED = 1 << 30


def most_targets(config: DenoisingConfig, denoisers: Sequence[Denoiser]) -> int:
    """The longest targets allowed; a causal LM, which fills its targets, gets as many as there are inputs."""
    if config.targets_length is not None:
        return config.targets_length
    return config.inputs_length if any(d.is_causal for d in denoisers) else UNLIMITED


class Corrupter:
    """Plans denoisers on tokenised documents, finds their segments, corrupts them and lays them out as batches.

    documents: by split. `planned` is the plan of the mixture's own denoisers.
    Raises UsageError where lengths or sentinels do not fit.
    """

    def __init__(
        self, config: DenoisingConfig, mixture: Mixture, vocabulary: Vocabulary, documents: Mapping[str, Documents]
    ) -> None:
        self.config, self.mixture, self.vocabulary = config, mixture, vocabulary
        self.documents = dict(documents)
        self._tables: dict[tuple[str, int, Denoiser, tuple[int, int]], SegmentTable] = {}
        self.planned = self.plan(mixture.denoisers)
        if config.pack and self.packed_lengths[1] < self.planned.targets_length:
            raise UsageError(
                f"packed_targets_length {self.packed_lengths[1]} is below the longest targets of "
                f"{self.planned.targets_length} tokens; set it to at least {self.planned.targets_length}."
            )

    def plan(self, denoisers: Sequence[Denoiser], mode: str = "matching") -> DenoisingPlan:
        """Plan any denoisers on this text. mode: "matching", "none", or the kind whose mode all of them get."""
        config, vocabulary = self.config, self.vocabulary
        if mode == "none":
            vocabulary = replace(vocabulary, mode_ids={})
        elif mode != "matching":
            ids = vocabulary.mode_ids
            vocabulary = replace(vocabulary, mode_ids=dict.fromkeys(ids, ids.get(mode, ())))
        planned = plan_batches(denoisers, vocabulary, config.inputs_length, most_targets(config, denoisers))
        if config.targets_length is not None:
            return planned
        # Masks round in float32, plans in float64: a target can be two tokens longer than planned.
        return replace(planned, targets_length=max(s.targets_length for s in planned.segments) + 2)

    def table(self, split: str, plan: DenoisingPlan, number: int, shard: tuple[int, int] = (0, 1)) -> SegmentTable:
        """Return the segments of one denoiser of a plan.

        Raises DataError for an unknown split and for too short a text.
        """
        if split not in self.documents:
            raise DataError(f"There is no split {split!r}; there are {', '.join(self.documents)}.")
        segment = plan.segments[number]
        key = (split, segment.tokens_length, segment.denoiser, shard)
        if key not in self._tables:
            join, shortest = self.config.join_documents, self.config.shortest_segment
            self._tables[key] = SegmentTable(self.documents[split], segment, join, shortest, shard)
        return self._tables[key]

    def tables(self, split: str, training: bool) -> list[SegmentTable | None]:
        """Return the segments of each of the mixture's denoisers, None for those that are never drawn."""
        drawn = [i for i, rate in enumerate(self.mixture.rates) if rate]
        sharded = training and self.config.shard_documents
        shards = {n: (i, len(drawn)) if sharded else (0, 1) for i, n in enumerate(drawn)}
        plan = self.planned
        return [self.table(split, plan, n, shards[n]) if n in shards else None for n in range(len(plan.segments))]

    def corrupt(
        self, split: str, places: tuple[Ints, Ints], tasks: Ints, plan: DenoisingPlan, generator: np.random.Generator
    ) -> Corrupted:
        """Denoise raw segments. places: (start, length) of each; tasks: denoiser of each in the plan, both int64[rows]."""
        if not len(tasks):
            none, empty = np.empty((0, 0), np.int32), np.empty(0, np.int64)
            return Corrupted(none, empty, none, empty)
        return denoise_batch(self.documents[split].gather(*places), tasks, plan, generator, places[1])

    def denoise(
        self, split: str, places: tuple[Ints, Ints], tasks: Ints, plan: DenoisingPlan, generator: np.random.Generator
    ) -> Batch:
        """Make the batch of raw segments, one a row; see `corrupt`."""
        return self.lay_out(Examples(self.corrupt(split, places, tasks, plan, generator), tasks, places[0]))

    def lay_out(self, examples: Examples) -> Batch:
        """Return examples as a batch of one example a row."""
        make = layouts.encoder_decoder if self.config.layout == "encoder-decoder" else layouts.decoder_only
        fields = {**make(examples.sides, self.vocabulary), "task_ids": examples.tasks}
        return {**layouts.to_tensors(fields), "example_ids": examples.starts}

    @property
    def packed_lengths(self) -> tuple[int, int]:
        """Tokens of the inputs and of the targets of a packed row."""
        config = self.config
        inputs = config.packed_inputs_length or config.inputs_length
        return inputs, config.packed_targets_length or self.planned.targets_length

    @property
    def positions(self) -> int:
        """The longest row of a side, or of both behind each other, in tokens; packed decoder-only examples count one by one."""
        if self.config.layout == "encoder-decoder":
            whole = (self.config.inputs_length, self.planned.targets_length)
            return max(self.packed_lengths if self.config.pack else whole)
        mode = max((len(ids) for ids in self.vocabulary.mode_ids.values()), default=0)
        return max(s.tokens_length + 2 * s.spans for s in self.planned.segments) + mode + 1

    @property
    def capacity(self) -> tuple[int, ...]:
        """Tokens of a packed row: of inputs and targets, or of both together in a decoder-only row."""
        lengths = self.packed_lengths
        return lengths if self.config.layout == "encoder-decoder" else (sum(lengths),)

    def sizes(self, sides: Corrupted) -> Ints:
        """Tokens that examples take of a packed row's capacity, int64[examples, 1 or 2]."""
        if self.config.layout == "encoder-decoder":
            return np.stack([sides.input_lengths, sides.target_lengths], axis=1)
        return (sides.input_lengths - 1 + sides.target_lengths)[:, None]

    def lay_out_packed(self, examples: Examples, row: Ints, rows: int) -> Batch:
        """Return examples as a batch of packed rows. row: the row of each example, int64[examples]."""
        capacity, vocabulary = self.capacity, self.vocabulary
        if self.config.layout == "encoder-decoder":
            both = (capacity[0], capacity[1])
            fields = layouts.packed_encoder_decoder(examples.sides, examples.tasks, row, rows, both, vocabulary)
        else:
            fields = layouts.packed_decoder_only(examples.sides, examples.tasks, row, rows, capacity[0], vocabulary)
        first = np.searchsorted(np.sort(row), np.arange(rows))
        return {**layouts.to_tensors(fields), "example_ids": examples.starts[np.argsort(row, kind="stable")[first]]}
