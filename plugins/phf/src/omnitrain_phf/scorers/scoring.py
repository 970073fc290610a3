"""Scoring a text, document by document in chunks that are kept, so that a stopped job goes on where it was."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pydantic import TypeAdapter

from omnitrain.api import Context
from omnitrain.engine import Ledger, build_once
from omnitrain_language.folders import tell_files
from omnitrain_language.records import PLAIN, Problems
from omnitrain_language.records import RECORDS as FIELDED
from omnitrain_phf.configs.scorers import ScorerConfig
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.scorers.base import Scorer, segment_scores
from omnitrain_phf.scorers.make import header, make_scorer
from omnitrain_phf.scorers.segments import SPLITTERS
from omnitrain_phf.scorers.sources import Document, checked, documents, fingerprint

RECORDS, HEADER, STATISTICS = "records.jsonl", "header.json", "statistics.json"
# Raise it when the same documents and scorer give other records, or the built-in text is another one.
CODE_VERSION = 1
_log = logging.getLogger("omnitrain.phf")


@dataclass(frozen=True)
class Chunk:
    """Documents that are scored together. number: its place in the text."""

    number: int
    documents: Sequence[Document]

    def key(self) -> str:
        """Return its name among the finished ones."""
        return str(self.number)


@cache
def _scorer(settings: str) -> Scorer:
    return make_scorer(TypeAdapter(ScorerConfig).validate_json(settings))


def record_of(document: Document, texts: list[str], scores: list[float], segments: str) -> dict[str, Any]:
    """Return the scored record of one document, in the paper's format. avg_score: plain mean over the segments."""
    name, text = document
    average = fmean(scores) if scores else 0.0
    record: dict[str, Any] = {"texts": texts, "scores": scores, "avg_score": average, "num_sents": len(texts)}
    if segments == "lines":
        record |= {"org_text": text, "num_lines": len(texts)}
    return {**record, "meta": {"id": name}}


def score_chunk(settings: str, segments: str, chunk: Chunk) -> str:
    """Return the records of some documents as JSON lines; runs in worker processes. settings: the scorer's, as JSON."""
    split = SPLITTERS[segments]
    parts = [split(text) for _, text in chunk.documents]
    scores = segment_scores(_scorer(settings), parts)
    records = (record_of(*found, segments) for found in zip(chunk.documents, parts, scores, strict=True))
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)


def chunks(found: Iterator[Document], characters: int) -> Iterator[Chunk]:
    """Yield documents in chunks of about so many characters."""
    number, size = 0, 0
    documents: list[Document] = []
    for document in found:
        documents.append(document)
        size += len(document[1])
        if size >= characters:
            yield Chunk(number, documents)
            number, size, documents = number + 1, 0, []
    if documents:
        yield Chunk(number, documents)


@dataclass
class Statistics:
    """What is told about scores; a filter keeps about half of the documents at the median of avg_score."""

    threshold: float
    segments: int = 0
    characters: int = 0
    total: float = 0.0
    above: int = 0
    averages: list[float] = field(default_factory=list)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one record."""
        scores = record["scores"]
        self.segments += len(scores)
        self.characters += sum(map(len, record["texts"]))
        self.total += sum(scores)
        self.above += sum(score > self.threshold for score in scores)
        self.averages.append(record["avg_score"])

    def json(self) -> dict[str, float]:
        """Return the numbers by name."""
        segments = max(1, self.segments)
        return {
            "documents": len(self.averages),
            "segments": self.segments,
            "characters": self.characters,
            "mean score of segments": self.total / segments,
            f"share of segments above {self.threshold:g}": self.above / segments,
            "mean avg_score": fmean(self.averages) if self.averages else 0.0,
            "suggested filter threshold": median(self.averages) if self.averages else 0.0,
        }


def _identity(config: ScoreConfig) -> dict[str, Any]:
    return {**header(config.scorer), "segments": config.segments}


def source_identity(config: ScoreConfig) -> str:
    """Return a hash of the text, the segmentation and all that decides about scores."""
    parts = [CODE_VERSION, fingerprint(config), config.segments, _identity(config)["digest"]]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def scored(config: ScoreConfig, workspace: Path, context: Context) -> Path:
    """Return a folder with the records, their header and statistics; scored at most once per workspace.

    Raises DataError for texts that can't be read, EnvironmentFault where a scorer's library is missing.
    """
    if not config.path.startswith("builtin:"):
        tell_files(config.path, PLAIN + FIELDED, context)
    # Chunks of another size, and statistics of another threshold, are other files.
    place = workspace / "scored" / f"{source_identity(config)}-{config.chunk_characters}-{config.threshold:g}"

    def build(folder: Path) -> None:
        problems = Problems(refuse=config.malformed == "refuse")
        found = checked(documents(config, problems), config.path, problems)
        score = partial(score_chunk, config.scorer.model_dump_json(), config.segments)
        workers = config.processes if config.processes > 1 else 0
        statistics = Statistics(config.threshold)
        with (
            Ledger(place / "chunks", warn=_log.warning, progress=context.progress) as finished,
            (folder / RECORDS).open("wb") as out,
        ):
            parts = chunks(found, config.chunk_characters)
            label = f"score with {config.scorer.name}"
            for _, lines in finished.map(score, parts, key=Chunk.key, workers=workers, label=label):
                content = lines.encode()
                out.write(content)
                for line in content.splitlines():
                    statistics.add(json.loads(line))
        (folder / HEADER).write_text(json.dumps(_identity(config), indent=1, sort_keys=True) + "\n", "utf-8")
        (folder / STATISTICS).write_text(json.dumps(statistics.json(), indent=1) + "\n", "utf-8")

    finished = build_once(place / "result", build)
    shutil.rmtree(place / "chunks", ignore_errors=True)
    return finished
