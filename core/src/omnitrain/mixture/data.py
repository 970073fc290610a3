"""Data `core/mixture`: several data as one."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api.data import Batch
from omnitrain.api.digests import file_digest
from omnitrain.api.fields import parse_field
from omnitrain.api.figures import Piece
from omnitrain.api.protocols import (
    BatchPlan,
    DrawsExamples,
    ExplainsBatches,
    ExtendsModel,
    Feed,
    FollowsModel,
    MakesRounds,
    Prepares,
    SavesAssets,
    SplitsBatches,
)
from omnitrain.api.run import Context
from omnitrain.engine.batches import split_rows
from omnitrain.engine.joining import without_rows
from omnitrain.engine.tally import MEMBER
from omnitrain.errors import DataError, UsageError
from omnitrain.mixture.agreement import GROUPS, agreed_facts, agreed_fields
from omnitrain.mixture.assembling import Assembler
from omnitrain.mixture.configs import MixtureConfig
from omnitrain.mixture.feeds import InTurn, RowsFeed, TurnsFeed, Update, member_feed
from omnitrain.mixture.groups import Groups, merged_groups
from omnitrain.mixture.members import EndlessRows, Member
from omnitrain.mixture.shares import rows_of_update, shares, turns
from omnitrain.mixture.turns import Turns
from omnitrain.mixture.union import Example, Union, chained
from omnitrain.runs.seeds import derive

if TYPE_CHECKING:
    from torch import nn

TRAIN = "train"


class Mixture:
    """Several data as one; see `MixtureConfig`. Their abilities are passed on."""

    def __init__(self, config: MixtureConfig, members: Sequence[Member]) -> None:
        self.config, self.members = config, members
        made = [member.name for member in members if isinstance(member.data, MakesRounds)]
        if made:
            raise UsageError(
                f"core/mixture: the model makes the rows of {', '.join(made)} in rounds, so that no plan of seed and step can "
                "mix them with others; train on that data alone, or let it mix others in."
            )
        self._fields = agreed_fields(members, config.drop, config.keep, config.group)
        has_rows = any("batch" in (parse_field(spec).dims or ()) for spec in self._fields.values())
        self._group = config.group if has_rows else None
        self.batch = {**self._fields, config.group: "int64[batch]"} if has_rows else dict(self._fields)
        whole = without_rows(self._fields)
        if config.unit == "example" and whole:
            raise UsageError(
                f"core/mixture: the field {whole[0]!r} ({self._fields[whole[0]]}) has no dimension named 'batch', so a batch "
                "can't hold examples of several members; set unit: update or micro-batch."
            )
        self._facts: dict[str, Any] | None = None
        self._named: Groups | None = None
        self._assembler: Assembler | None = None

    @property
    def fingerprint(self) -> str:
        """Hash of the members' fingerprints and of the settings."""
        settings = self.config.model_dump(mode="json", exclude={"members"})
        own = [[m.name, m.data.fingerprint, m.config.model_dump(mode="json", exclude={"data"})] for m in self.members]
        return hashlib.blake2b(json.dumps([own, settings], sort_keys=True).encode(), digest_size=16).hexdigest()

    def prepare(self, workspace: Path, context: Context) -> None:
        """Do the members' slow work, and look whether each has what training needs.

        Raises UsageError for members that tell a model different things, DataError for an empty one.
        """
        for member in self.members:
            if isinstance(member.data, Prepares):
                member.data.prepare(workspace, context)
        self.facts()
        if any(member.has(TRAIN) for member in self.members):
            self._turns(TRAIN, 0)

    def facts(self) -> Mapping[str, Any]:
        """Return what the members tell, and the names of the members as groups."""
        return {**self._agreed(), GROUPS: dict(self._groups.names)}

    @property
    def _groups(self) -> Groups:
        if self._named is None:
            self._named = merged_groups(self.members, self.config.group)
        return self._named

    def _agreed(self) -> dict[str, Any]:
        if self._facts is None:
            self._facts = agreed_facts(self.members, self.config.facts_of)
        return self._facts

    @property
    def _made(self) -> Assembler:
        if self._assembler is None:
            names = [member.name for member in self.members]
            self._assembler = Assembler(names, self._fields, self._group, self._groups, self._agreed())
        return self._assembler

    def splits(self) -> Sequence[str]:
        """Name the splits that members have, then each member's own to measure on: "valid/natural"."""
        found = dict.fromkeys(split for member in self.members for split in member.data.splits())
        own = (f"{split}/{m.name}" for split in found if split != TRAIN for m in self.members if m.has(split))
        return [*found, *own]

    def _holders(self, split: str) -> tuple[list[Member], str]:
        """Return the members that a split is of, and what they call it."""
        holders = [member for member in self.members if member.has(split)]
        if holders:
            return holders, split
        own, _, name = split.rpartition("/")
        holders = [member for member in self.members if member.name == name and member.has(own)]
        if not holders:
            raise DataError(f"core/mixture has no split {split!r}; it has {', '.join(self.splits())}.")
        return holders, own

    def feed(self, split: str, plan: BatchPlan, accumulate: int, workers: int) -> Feed:
        """Return the micro-batches of a split: mixed for training, once and in turn if not, a member's own as its data has it.

        Raises UsageError for settings of the training that do not fit.
        """
        holders, own = self._holders(split)
        if not plan.train or (split != own and len(holders) == 1):
            feeds = [member_feed(member, own, plan, accumulate, plan.batch_size, workers) for member in holders]
            return InTurn(holders, feeds, self._made)
        turns_ = self._turns(own, plan.seed)
        update = Update(plan, accumulate, self.config.unit)
        if update.unit == "micro-batch" and plan.batch_size % accumulate:
            raise UsageError(
                f"core/mixture: unit: micro-batch needs micro-batches of one size, and {plan.batch_size} examples of an update "
                f"on a process are no multiple of fit.accumulate {accumulate}; change one of them."
            )
        if all(member.indexed(own) for member in self.members):
            return RowsFeed(update, turns_, [self._rows(member, own, plan) for member in self.members], self._made, workers)
        counts = self._rows_of_update(own, plan.batch_size) if update.unit == "example" else None
        sources: list[EndlessRows | Feed] = []
        for member in self.members:
            rows = update.rows if counts is None else counts[member.number]
            cut = 1 if update.unit == "micro-batch" else accumulate
            indexed = member.indexed(own)
            sources.append(self._rows(member, own, plan) if indexed else member_feed(member, own, plan, cut, rows))
        return TurnsFeed(self.members, update, turns_, sources, self._made, counts)

    def _rows(self, member: Member, split: str, plan: BatchPlan) -> EndlessRows:
        return EndlessRows(member, split, plan.seed, self.config.redraw, self._offset(member, split))

    def _offset(self, member: Member, split: str) -> int:
        """Return how many examples the members before it have, as far as they can be counted."""
        before = self.members[: member.number]
        return sum(other.size(split, capped=False) or 0 for other in before)

    def _sizes(self, split: str) -> list[int | None]:
        lacking = next((member for member in self.members if not member.has(split)), None)
        if lacking is not None:
            there = ", ".join(lacking.data.splits())
            raise DataError(
                f"members.{lacking.name}: {lacking.use} has no split {split!r}, only {there}; all members of a mixture are "
                "trained on."
            )
        sizes = [member.size(split) for member in self.members]
        unknown = next((m for m, size in zip(self.members, sizes, strict=True) if size is None), None)
        if self.config.alpha and unknown is not None:
            raise UsageError(
                f"members.{unknown.name}: {unknown.use} has only an order of its own and can't tell its size, which "
                f"alpha {self.config.alpha:g} asks for; set the member's size, or alpha: 0 and weights."
            )
        return sizes

    def _turns(self, split: str, seed: int) -> Turns:
        names, weights = [m.name for m in self.members], [m.config.weight for m in self.members]
        counts = turns(names, weights, self._sizes(split), self.config.alpha)
        return Turns(counts, self.config.order == "shuffled", derive(seed, "mixture"))

    def _shares(self, split: str) -> list[float]:
        return shares([m.config.weight for m in self.members], self._sizes(split), self.config.alpha)

    def _rows_of_update(self, split: str, rows: int) -> list[int]:
        return rows_of_update([m.name for m in self.members], self._shares(split), rows)

    def order(self, split: str, plan: BatchPlan, updates: int) -> Mapping[str, str]:
        """Return, for each member, its share, how many examples it has, and how often a training goes through them."""
        _, own = self._holders(split)
        if own != split:
            return {}
        parts, sizes = self._shares(own), self._sizes(own)
        if self.config.unit == "example" and not all(member.indexed(own) for member in self.members):
            parts = [count / plan.batch_size for count in self._rows_of_update(own, plan.batch_size)]
        seen = updates * plan.batch_size * plan.world
        lines = {}
        for member, part, size in zip(self.members, parts, sizes, strict=True):
            text = f"{part:.1%} of the {'examples' if self.config.unit == 'example' else 'turns'}"
            known = f", {size:,} examples, {part * seen / size:.3g} passes in {updates:,} updates" if size else ""
            lacks = ", no split valid" if not member.has("valid") and any(m.has("valid") for m in self.members) else ""
            lines[member.name] = text + known + lacks
        return lines

    def examples(self, split: str) -> Any:
        """Return the examples of all members behind each other, each with its member's number."""
        holders, own = self._holders(split)
        if all(member.indexed(own) for member in holders):
            return Union(holders, own)
        return chained(holders, own)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Make a batch of examples of any members."""
        by_member: dict[int, list[Any]] = {}
        for number, example in examples:
            by_member.setdefault(number, []).append(example)
        made = [(number, self.members[number].data.collate(found)) for number, found in sorted(by_member.items())]
        if len(made) == 1:
            return self._made.single(made[0][1], made[0][0])
        return self._made.joined(made)

    def split_batch(self, batch: Batch, parts: int) -> Sequence[Batch]:
        """Cut a batch as the member does that it is of, one of several members by rows."""
        rows = {name: value for name, value in batch.items() if name != MEMBER}
        number = next((m.number for m in self.members if m.name == batch.get(MEMBER)), None)
        if number is None:
            return split_rows(rows, self.batch, parts)
        if not isinstance(self.members[number].data, SplitsBatches):
            return [{**part, MEMBER: batch[MEMBER]} for part in split_rows(rows, self.batch, parts)]
        cut = self.members[number].data.split_batch(self._groups.own(batch, number), parts)
        return [self._made.single(part, number) for part in cut]

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show which member a row is of, and what that shows of it."""
        named = {m.name: m.number for m in self.members}
        number = named[batch[MEMBER]] if MEMBER in batch else int(batch[str(self._group)][row])
        member = self.members[number]
        shown: Mapping[str, Sequence[Piece]] = {}
        data: Any = member.data
        if isinstance(data, ExplainsBatches) and not set(self.config.drop) & set(member.data.batch):
            shown = data.explain(self._groups.own(batch, number), row)
        return {"member": [Piece(member.name)], **shown}


class ExtendingMixture(Mixture):
    """A mixture some of whose members add to a model what they need."""

    def extend(self, model: nn.Module) -> None:
        """Let the members add it."""
        for member in self.members:
            if isinstance(member.data, ExtendsModel):
                member.data.extend(model)


class FollowingMixture(Mixture):
    """A mixture some of whose members need the model that training starts from."""

    def follow(self, model: nn.Module) -> None:
        """Hand the model to the members that follow it."""
        for member in self.members:
            if isinstance(member.data, FollowsModel):
                member.data.follow(model)


class SavingMixture(Mixture):
    """A mixture some of whose members have files that belong to a model."""

    def save_assets(self, directory: Path) -> None:
        """Write every member's files into the model's folder. Raises UsageError where two write different ones of one name."""
        origin: dict[Path, Member] = {}
        for member in sorted(self.members, key=lambda m: m.name != self.config.facts_of):
            if not isinstance(member.data, SavesAssets):
                continue
            with tempfile.TemporaryDirectory(prefix="omnitrain-") as scratch:
                member.data.save_assets(Path(scratch))
                for file in sorted(path for path in Path(scratch).rglob("*") if path.is_file()):
                    name = file.relative_to(scratch)
                    target = directory / name
                    if name not in origin:
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(file, target)
                    elif file_digest(file) != file_digest(target) and self.config.facts_of is None:
                        raise UsageError(
                            f"core/mixture: members.{origin[name].name} and members.{member.name} bring different files "
                            f"{name} for a model; give both the same settings (such as one tokenizer by its path), or set "
                            "facts_of to the member whose files count."
                        )
                    origin.setdefault(name, member)


class DrawnUnion(Mixture):
    """A mixture some of whose members draw their examples."""

    def example(self, split: str, index: int, seed: int) -> Example:
        """Return example `index` of a split, drawn with `seed` where its member draws."""
        holders, own = self._holders(split)
        member, row = Union(holders, own).place(index)
        if isinstance(member.data, DrawsExamples):
            return member.number, member.data.example(own, row, seed)
        return member.number, member.data.examples(own)[row]


_KINDS: tuple[tuple[type, type[Mixture]], ...] = (
    (ExtendsModel, ExtendingMixture),
    (FollowsModel, FollowingMixture),
    (SavesAssets, SavingMixture),
    (DrawsExamples, DrawnUnion),
)


def build(config: MixtureConfig, context: Context) -> Mixture:
    """Make the data `core/mixture`. Raises UsageError for members whose batches differ."""
    members = []
    for number, (name, member) in enumerate(sorted(config.members.items())):
        use = str(member.data.use or member.data.source)
        members.append(Member(name, number, context.build(member.data), member, use))
    kinds = tuple(kind for ability, kind in _KINDS if any(isinstance(member.data, ability) for member in members))
    made: type[Mixture] = type("Mixture", kinds, {}) if len(kinds) > 1 else (kinds or (Mixture,))[0]
    return made(config, members)
