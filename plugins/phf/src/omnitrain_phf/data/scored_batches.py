"""Data `phf/scored-batches`: batches of other data with scores and, where asked for, control tokens."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omnitrain.api import Batch, Context, Data, ExtendsModel, Fields, Piece, misfits, parse_field
from omnitrain.engine import DataWrapper
from omnitrain.errors import UsageError
from omnitrain_language.detokenising import Detokeniser
from omnitrain_language.encoding import special_ids, vocabulary_size
from omnitrain_language.explain import explain_decoder_only
from omnitrain_language.objectives import CAUSAL_NEEDS
from omnitrain_language.tokenizers import pad_id, save_tokenizer, tokenizer_facts
from omnitrain_phf.configs.data import ScoredBatchesConfig
from omnitrain_phf.data.scored_text import add_control_tokens, control_facts
from omnitrain_phf.data.stretches import Marks, Stretch, insert_control, segment_of_tokens, stretches
from omnitrain_phf.paper.control_tokens import grow
from omnitrain_phf.scorers.base import segment_scores
from omnitrain_phf.scorers.make import header, make_scorer
from omnitrain_phf.scorers.segments import SPLITTERS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Scored = tuple[list[str], list[float]]


class ScoredBatches(DataWrapper):
    """Data whose batches carry `token_scores` beside what they had; see `ScoredBatchesConfig`."""

    def __init__(self, config: ScoredBatchesConfig, inner: Data, seed: int) -> None:
        super().__init__(inner)
        self.config, self._seed = config, seed
        dims = ", ".join(parse_field(inner.batch["labels"]).dims or ())
        self.batch: Fields = {**inner.batch, "token_scores": f"float32[{dims}]"}
        self._scorer = make_scorer(config.scorer)
        self._known: OrderedDict[str, Scored] = OrderedDict()
        self._added: list[int] = []
        self._special: np.ndarray = np.zeros(0, np.bool_)
        self._special_ids: set[int] = set()

    @property
    def fingerprint(self) -> str:
        """Hash of the other data, the scorer and the settings."""
        parts = [self.inner.fingerprint, header(self.config.scorer)["digest"], self.config.model_dump_json(exclude={"data"})]
        return hashlib.blake2b(f"{' '.join(parts)} {self._seed}".encode(), digest_size=16).hexdigest()

    def prepare(self, workspace: Path, context: Context) -> None:
        """Prepare the other data, and add control tokens to its tokenizer."""
        super().prepare(workspace, context)
        control = self.config.control
        if control is not None:
            self._added = add_control_tokens(self.tokenizer, (control.aligned, control.misaligned))
        self._special = np.zeros(vocabulary_size(self.tokenizer), np.bool_)
        self._special_ids = special_ids(self.tokenizer)
        self._special[sorted(self._special_ids)] = True

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The other data's tokenizer with the control tokens, once prepared."""
        found: PreTrainedTokenizerFast = self.inner.tokenizer
        return found

    def facts(self) -> Mapping[str, Any]:
        """Return what the other data tells, with the control tokens."""
        return {
            **super().facts(),
            **tokenizer_facts(self.tokenizer),
            **control_facts(self.tokenizer, self.config.control, self._added),
        }

    def save_assets(self, directory: Path) -> None:
        """Write the tokenizer into the model's folder."""
        save_tokenizer(self.tokenizer, directory, "decoder-only")

    def extend(self, model: torch.nn.Module) -> None:
        """Give a model from an earlier stage rows for control tokens that it does not have yet."""
        if isinstance(self.inner, ExtendsModel):
            self.inner.extend(model)
        grow(model, self._added, self._seed)

    def change(self, batch: Batch) -> Batch:
        """Return a batch with `token_scores`, float32[batch, length]: of each label that has loss, 0 elsewhere."""
        arrays = {name: batch[name].numpy() for name in self._fields(batch)}
        found = self._stretches(arrays)
        texts = [self._text(arrays["labels"][row], part) for row, parts in enumerate(found) for part in parts]
        self._learn(texts)
        scored = iter(texts)
        marks = [self._mark(arrays["labels"][row], parts, [next(scored) for _ in parts]) for row, parts in enumerate(found)]
        arrays["token_scores"] = np.stack([mark.scores for mark in marks])
        if self.config.control is not None:
            ids = [self._control(arrays["labels"][row], mark) for row, mark in enumerate(marks)]
            pad = pad_id(self.tokenizer)
            arrays = insert_control(arrays, ids, {"input_ids": pad, "labels": pad})
        return {**batch, **{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}}

    def _fields(self, batch: Batch) -> list[str]:
        """Name the fields that have an entry for each token."""
        dims = parse_field(self.inner.batch["labels"]).dims or ()
        specs = {name: parse_field(spec).dims or () for name, spec in self.inner.batch.items() if name in batch}
        return [name for name, found in specs.items() if found[:2] == dims[:2]]

    def _stretches(self, arrays: Mapping[str, Any]) -> list[list[Stretch]]:
        labels = arrays["labels"]
        parts = arrays.get("segment_ids", np.zeros_like(labels))
        counted = arrays["loss_weights"] > 0
        return [stretches(labels[row], counted[row], parts[row], self._special) for row in range(len(labels))]

    def _decode(self, labels: Any, part: Stretch) -> Detokeniser:
        """Return what reads tokens that stand where the stretch begins."""
        return Detokeniser(self.tokenizer, labels[: part.begin].tolist(), False, self._special_ids)

    def _text(self, labels: Any, part: Stretch) -> str:
        return self._decode(labels, part)(labels[part.begin : part.end].tolist())

    def _learn(self, texts: Sequence[str]) -> None:
        """Score what is not known yet, all at once, and forget what was not asked for longest."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        split = SPLITTERS["document" if self.config.segments == "completion" else self.config.segments]
        cut = [split(text) for text in fresh]
        found = segment_scores(self._scorer, cut)
        self._known.update(zip(fresh, zip(cut, found, strict=True), strict=True))
        for text in texts:
            self._known.move_to_end(text)
        # What this batch needs stays.
        while len(self._known) > max(self.config.remembered, len(set(texts))):
            self._known.popitem(last=False)

    def _mark(self, labels: Any, parts: Sequence[Stretch], texts: Sequence[str]) -> Marks:
        scores, heads = np.zeros(len(labels), np.float32), []
        for part, text in zip(parts, texts, strict=True):
            segments, found = self._known[text]
            if not segments:
                continue
            owner = segment_of_tokens(labels[part.begin : part.end].tolist(), segments, self._decode(labels, part))
            own = np.asarray(found, np.float32)[owner]
            scores[part.begin : part.end] = own
            scores[part.opens : part.begin], scores[part.end : part.closes] = own[0], own[-1]
            heads += [part.begin, *(np.flatnonzero(np.diff(owner)) + 1 + part.begin)]
        return Marks(scores, np.asarray(heads, np.int64))

    def _control(self, labels: Any, mark: Marks) -> dict[int, int]:
        """Return position to control token; the draws of a row depend on its labels and the seed only."""
        control = self.config.control
        assert control is not None
        sides = self.tokenizer.convert_tokens_to_ids([control.aligned, control.misaligned])
        key = hashlib.blake2b(labels.tobytes() + str(self._seed).encode(), digest_size=16).digest()
        draws = np.random.default_rng(int.from_bytes(key, "little")).random(len(mark.heads))
        kept = mark.heads[draws > control.drop_token_fraction]
        return {int(place): int(sides[int(mark.scores[place] > control.threshold)]) for place in kept}

    def explain(self, batch: Batch, row: int) -> Mapping[str, Sequence[Piece]]:
        """Show inputs and labels of a row, and its segments' scores."""
        counted = batch["loss_weights"][row] > 0
        scores = batch["token_scores"][row][counted].unique_consecutive().tolist()
        shown = ", ".join(f"{score:.4g}" for score in scores)
        return {**explain_decoder_only(self.tokenizer, batch, row), "scores": [Piece(shown)]}


def build(config: ScoredBatchesConfig, context: Context) -> ScoredBatches:
    """Make the data `phf/scored-batches`.

    Raises UsageError for data whose batches can't be scored.
    """
    inner: Data = context.build(config.data)
    name = config.data.use or config.data.source
    needed = {field: spec for field, spec in CAUSAL_NEEDS.items() if not spec.endswith("?")}
    faults = misfits(inner.batch, needed)
    if "token_scores" in inner.batch:
        faults = ["they have token_scores already"]
    elif not faults and not hasattr(type(inner), "tokenizer"):
        faults = ["the data has no tokenizer to read its tokens with"]
    if faults:
        raise UsageError(
            f"The batches of {name} can't be scored by phf/scored-batches: {'; '.join(faults)}. It takes batches of tokens for "
            "decoder-only models (where the data has a setting layout: decoder-only)."
        )
    return ScoredBatches(config, inner, context.seed("control tokens"))
