"""Scoring a text, document by document in chunks that are kept, so that a stopped job goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pydantic import TypeAdapter

from omnitrain.api import Context, Progress
from omnitrain.engine import build_once
from omnitrain_language.records import Problems
from omnitrain_phf.configs.scorers import ScorerConfig
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.scorers.base import Scorer, segment_scores
from omnitrain_phf.scorers.make import header, make_scorer
from omnitrain_phf.scorers.segments import SPLITTERS
from omnitrain_phf.scorers.sources import Document, checked, documents, fingerprint

RECORDS, HEADER, STATISTICS = "records.jsonl", "header.json", "statistics.json"
# Raise it when the same documents and scorer give other records, or the built-in text is another one.
CODE_VERSION = 1
# Chunks that wait for a worker, so that the source is not read far ahead.
AHEAD = 3


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


def score_chunk(settings: str, segments: str, chunk: Sequence[Document]) -> bytes:
    """Return the records of some documents as JSON lines; runs in worker processes. settings: the scorer's, as JSON."""
    split = SPLITTERS[segments]
    parts = [split(text) for _, text in chunk]
    scores = segment_scores(_scorer(settings), parts)
    records = (record_of(*found, segments) for found in zip(chunk, parts, scores, strict=True))
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    return "".join(f"{line}\n" for line in lines).encode()


def chunks(found: Iterator[Document], characters: int) -> Iterator[list[Document]]:
    """Yield documents in lists of about so many characters."""
    chunk: list[Document] = []
    size = 0
    for document in found:
        chunk.append(document)
        size += len(document[1])
        if size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


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


def _write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass
class _Job:
    """One text under one scorer. folder: of the chunks."""

    config: ScoreConfig
    folder: Path
    progress: Progress

    @property
    def settings(self) -> str:
        return self.config.scorer.model_dump_json()

    def place(self, number: int) -> Path:
        return self.folder / f"{number:08d}.jsonl"

    def run(self) -> int:
        """Score what is not there yet; return the number of chunks."""
        problems = Problems(refuse=self.config.malformed == "refuse")
        found = checked(documents(self.config, problems), self.config.path, problems)
        count = 0
        with ExitStack() as stack:
            pool = stack.enter_context(_Pool(self)) if self.config.processes > 1 else None
            for number, chunk in enumerate(chunks(found, self.config.chunk_characters)):
                count = number + 1
                if self.place(number).exists():
                    self.progress.advance(len(chunk))
                elif pool is not None:
                    pool.submit(number, chunk)
                else:
                    _write(self.place(number), score_chunk(self.settings, self.config.segments, chunk))
                    self.progress.advance(len(chunk))
            if pool is not None:
                pool.finish()
        return count


class _Pool:
    """Worker processes with a bounded queue. New interpreters, since forking one that has threads may hang."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._pool = ProcessPoolExecutor(job.config.processes, mp_context=get_context("spawn"))
        self._open: dict[Future[bytes], tuple[int, int]] = {}

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, number: int, chunk: list[Document]) -> None:
        """Hand a chunk to a worker, after waiting for one while too many wait."""
        future = self._pool.submit(score_chunk, self._job.settings, self._job.config.segments, chunk)
        self._open[future] = (number, len(chunk))
        while len(self._open) >= AHEAD * self._job.config.processes:
            self._collect()

    def finish(self) -> None:
        """Wait for all chunks."""
        while self._open:
            self._collect()

    def _collect(self) -> None:
        done, _ = wait(self._open, return_when=FIRST_COMPLETED)
        for future in done:
            number, size = self._open.pop(future)
            _write(self._job.place(number), future.result())
            self._job.progress.advance(size)


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
    # Chunks of another size, and statistics of another threshold, are other files.
    place = workspace / "scored" / f"{source_identity(config)}-{config.chunk_characters}-{config.threshold:g}"

    def build(folder: Path) -> None:
        parts = place / "chunks"
        parts.mkdir(parents=True, exist_ok=True)
        with context.progress(f"score with {config.scorer.name}") as progress:
            count = _Job(config, parts, progress).run()
        _assemble([parts / f"{number:08d}.jsonl" for number in range(count)], folder, config)

    finished = build_once(place / "result", build)
    shutil.rmtree(place / "chunks", ignore_errors=True)
    return finished


def _assemble(parts: Sequence[Path], folder: Path, config: ScoreConfig) -> None:
    statistics = Statistics(config.threshold)
    with (folder / RECORDS).open("wb") as out:
        for part in parts:
            content = part.read_bytes()
            out.write(content)
            for line in content.splitlines():
                statistics.add(json.loads(line))
    (folder / HEADER).write_text(json.dumps(_identity(config), indent=1, sort_keys=True) + "\n", "utf-8")
    (folder / STATISTICS).write_text(json.dumps(statistics.json(), indent=1) + "\n", "utf-8")
