"""Speed around training: the stream of blocks, sentences, scoring alone and in processes, writing; memory of unlikelihood."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from omnitrain.api import Bar, Batch, BatchPlan, Bench
from omnitrain_language.data.builtin.prose import builtin_documents
from omnitrain_language.generating import generate_rows
from omnitrain_phf.configs.scorers import PycodestyleConfig, ScrubadubConfig
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.data.blocks import BlockLayout, BlockReader, Blocks, Control, SeededDraws
from omnitrain_phf.data.corpus import Corpus
from omnitrain_phf.data.stream import ScoredStream
from omnitrain_phf.models.writing import WritingSettings, write
from omnitrain_phf.paper.alignment import align
from omnitrain_phf.scorers.contacts import contact_documents
from omnitrain_phf.scorers.pep8 import Pep8Scorer
from omnitrain_phf.scorers.scoring import Chunk, score_chunk, scored
from omnitrain_phf.scorers.segments import split_by_spacy, split_lines, split_sentences
from omnitrain_phf.scorers.sources import Document

# Documents of the stream, batches that are read of it, documents that go through lists, sentences that are scored.
DOCUMENTS, BATCHES, LISTED, SENTENCES = 4000, 40, 400, 4800
# What scoring may cost beside the scorer itself.
SCORING_LIMIT = 1 / 1.10


def _corpus(generator: np.random.Generator) -> Corpus:
    counts = generator.integers(5, 60, DOCUMENTS)
    lengths = generator.integers(5, 40, int(counts.sum()))
    scores = np.where(generator.random(len(lengths)) < 0.2, 0.5, 0.0)
    return Corpus(
        generator.integers(2, 50257, int(lengths.sum())).astype(np.uint16),
        np.append(0, np.cumsum(lengths)),
        scores,
        (lengths * 4).astype(np.int32),
        np.append(0, np.cumsum(counts)),
        np.zeros(DOCUMENTS),
        np.ones(DOCUMENTS, np.uint8),
        np.array([0, DOCUMENTS]),
    )


def _layout() -> BlockLayout:
    control = Control(0.0, 0.01, (50257, 50258), (11, 14))
    return BlockLayout(1024, 50256, 13, int(1024 * 3.6 * 1024), control)


def _stream() -> Callable[[], float]:
    corpus = _corpus(np.random.default_rng(0))

    def make(blocks: Blocks, rows: int) -> Batch:
        return {name: torch.from_numpy(array) for name, array in align(blocks.ids, blocks.scores).items()}

    batches = iter(ScoredStream(BlockReader(corpus, _layout(), SeededDraws(0)), BatchPlan(64, 0), 500, make))

    def measure() -> float:
        begin = process_time()
        for _ in range(BATCHES):
            next(batches)
        return BATCHES * 64 * 1024 / (process_time() - begin) / 1e6

    return measure


def _in_lists() -> Callable[[], float]:
    """The peer: segment after segment through Python lists, as the official data set does after its tokenizer."""
    corpus, layout = _corpus(np.random.default_rng(0)), _layout()
    control = layout.control
    assert control is not None
    ids_of = control.ids
    segments = [corpus.tokens[a:b].tolist() for a, b in zip(corpus.segment_tokens, corpus.segment_tokens[1:], strict=False)]

    def measure() -> float:
        generator, begin, made = np.random.default_rng(0), process_time(), 0
        ids: list[int] = []
        scores: list[float] = []
        for document in range(LISTED):
            first, last = corpus.document_segments[document], corpus.document_segments[document + 1]
            for number in range(first, last):
                tokens = [layout.eos_id] if number == first else []
                score = float(corpus.segment_scores[number])
                if generator.random() > control.dropped:
                    tokens = [*tokens, ids_of[0] if score <= control.threshold else ids_of[1]]
                tokens = tokens + segments[number]
                ids.extend(tokens)
                scores.extend([score] * len(tokens))
        for start in range(0, len(ids) - 1024, 1024):
            torch.tensor(ids[start : start + 1024])
            torch.tensor(scores[start : start + 1024])
            made += 1024
        return made / (process_time() - begin) / 1e6

    return measure


def stream_bench() -> Bench:
    """Return the bench of blocks beside Python lists."""
    return Bench(
        "stream",
        "control tokens, scores, blocks of 1024, shuffled; batches of 64",
        "M tokens/s",
        "phf/scored-text",
        {"phf/scored-text": _stream(), "Python lists": _in_lists()},
        higher_is_better=True,
        bars=(Bar("Python lists", 5.0),),
    )


def _rate(work: Callable[[], object], characters: int) -> Callable[[], float]:
    """Return what measures millions of characters per second of CPU time."""

    def measure() -> float:
        begin = process_time()
        work()
        return characters / (process_time() - begin) / 1e6

    return measure


def _characters(documents: list[Document]) -> int:
    return sum(len(text) for _, text in documents)


def _scoring(name: str, settings: Any, segments: str, documents: list[Document], alone: Callable[[], object]) -> Bench:
    """Compare scoring to records with `alone`, the scorer on segments that were found before."""
    count = _characters(documents)
    whole = _rate(lambda: score_chunk(settings.model_dump_json(), segments, Chunk(0, documents)), count)
    variants = {"phf/score": whole, "scorer alone": _rate(alone, count)}
    summary = f"{segments} to records, one process"
    bars = (Bar("scorer alone", SCORING_LIMIT),)
    return Bench(f"scoring with {name}", summary, "M characters/s", "phf/score", variants, True, bars=bars)


def _code_bench() -> Bench:
    documents = [(name, text) for name, text, _ in builtin_documents("code")[:12]]
    settings = PycodestyleConfig()
    scorer, parts = Pep8Scorer(settings), [split_lines(text) for _, text in documents]
    return _scoring("pycodestyle", settings, "lines", documents, lambda: [scorer.score_segments(lines) for lines in parts])


def _contacts_bench() -> Bench:
    """The scorer alone is scrubadub itself, sentence by sentence, as the official script calls it."""
    from omnitrain_phf.scorers.personal_data import PersonalDataScorer

    documents = list(contact_documents(0.1, SENTENCES))
    sentences = [sentence for _, text in documents for sentence in split_sentences(text)]
    scrubber = PersonalDataScorer(ScrubadubConfig()).scrubber

    def alone() -> list[int]:
        return [len(list(scrubber.iter_filth(sentence))) for sentence in sentences]

    return _scoring("scrubadub", ScrubadubConfig(), "sentences", documents, alone)


def _sentences_bench() -> Bench:
    documents = list(contact_documents(0.1, SENTENCES))
    count = _characters(documents)
    variants = {
        name: _rate(lambda split=split: [split(text) for _, text in documents], count)  # type: ignore[misc]
        for name, split in (("phf/score", split_sentences), ("spaCy", split_by_spacy))
    }
    return Bench(
        "sentences",
        "finding the sentences that spaCy's sentencizer finds",
        "M characters/s",
        "phf/score",
        variants,
        True,
        bars=(Bar("spaCy", 2.0),),
    )


class _Silent:
    """A context that shows nothing."""

    def advance(self, amount: float = 1, **values: float) -> None:
        """Take no notice."""

    @contextmanager
    def progress(self, label: str, total: float | None = None) -> Iterator[_Silent]:
        """Show nothing."""
        yield self


FEW, MANY = 24, 120


def _processes_bench() -> Bench:
    """Set-up (imports of the workers, hashing the text) does not count: the difference between few documents and many."""
    sizes = [_characters([(name, text) for name, text, _ in builtin_documents("code")[:count]]) for count in (FEW, MANY)]

    def seconds(processes: int, documents: int) -> float:
        settings = {"segments": "lines", "chunk_characters": 60_000, "processes": processes, "max_documents": documents}
        config = ScoreConfig.model_validate({"path": "builtin:code", "scorer": {"name": "pycodestyle"}, **settings})
        context: Any = _Silent()
        with tempfile.TemporaryDirectory() as folder:
            begin = perf_counter()
            scored(config, Path(folder), context)
            return perf_counter() - begin

    def variant(processes: int) -> Callable[[], float]:
        return lambda: (sizes[1] - sizes[0]) / (seconds(processes, MANY) - seconds(processes, FEW)) / 1e6

    variants = {"one process": variant(1)}
    several = (os.cpu_count() or 1) > 1
    if several:
        variants = {"two processes": variant(2), **variants}
    return Bench(
        "scoring in processes",
        "lines of the standard library with pycodestyle, to records on disk",
        "M characters/s",
        next(iter(variants)),
        variants,
        higher_is_better=True,
        bars=(Bar("one process", 1.7),) if several else (),
        absent=() if several else ("two processes",),
        rounds=3,
    )


def scoring_benches() -> list[Bench]:
    """Return the benches of sentences and scoring."""
    return [_sentences_bench(), _code_bench(), _contacts_bench(), _processes_bench()]


def writing_bench(model: Any) -> Bench:
    """Return the bench of batched generation. model: a causal model of transformers with 1024 ids."""
    predictor: Any = SimpleNamespace(
        model=model,
        tokenizer=lambda text, **more: SimpleNamespace(input_ids=[]),
        eos_ids=[1],
        continue_ids=partial(generate_rows, model, eos_ids=[1], pad=0),
    )

    def variant(batch: int, texts: int) -> Callable[[], float]:
        def measure() -> float:
            settings = WritingSettings(64, new_tokens=32, batch_size=batch)
            begin = perf_counter()
            write(predictor, [""] * texts, settings)
            return texts * 32 / (perf_counter() - begin)

        return measure

    variants = {"64 at a time": variant(64, 64), "one at a time": variant(1, 4)}
    bars = (Bar("one at a time", 4.0),)
    return Bench(
        "writing", "texts of 32 tokens, GPT-2 4 x 128", "tokens/s", "64 at a time", variants, True, bars=bars, rounds=3
    )


_PROBE = """
import pathlib, resource, sys, torch
torch.set_num_threads(1)
from omnitrain_phf.paper.losses import token_nll, unlikelihood_loss
tokens, vocabulary = 2048, 50257
hidden = torch.randn(1, tokens, 16, requires_grad=True)
head = torch.randn(vocabulary, 16, requires_grad=True)
labels = torch.randint(vocabulary, (1, tokens))
scores = torch.rand(1, tokens)
def peak():
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux hands what the parent used on in ru_maxrss, but not here.
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
# What importing took and gave back again does not hide anything: it is small beside one array.
before = peak()
logits = hidden @ head.T
if sys.argv[1] == "ours":
    loss = unlikelihood_loss(token_nll(logits, labels), scores, 0.5).loss(1.0)
else:
    log_p = torch.log_softmax(logits, -1)
    chosen = log_p.gather(-1, labels[..., None])[..., 0]
    loss = -torch.where(scores <= 0.5, chosen, torch.log1p(-chosen.exp()))
del logits
loss.sum().backward()
print((peak() - before) / (4 * tokens * vocabulary))
"""


def arrays_held(which: str) -> float:
    """Return the peak memory of unlikelihood, forward and backward, in arrays (tokens, vocabulary) of float32.

    which: "ours", or "log-softmax" for the plain way. 2048 tokens, vocabulary 50257, in a process of its own.
    """
    command = [sys.executable, "-W", "ignore", "-c", _PROBE, which]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_bench() -> Bench:
    """Return the bench of memory; a ratio of 1.5 stands for at least half an array less."""
    return Bench(
        "memory of unlikelihood",
        "forward and backward of 2048 tokens at a vocabulary of 50257, the logits included",
        "arrays (tokens, vocabulary) in float32",
        "phf/unlikelihood",
        {"phf/unlikelihood": lambda: arrays_held("ours"), "log-softmax": lambda: arrays_held("log-softmax")},
        bars=(Bar("log-softmax", 1.5),),
        rounds=3,
    )
