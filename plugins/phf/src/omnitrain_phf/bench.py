"""Speed: a step with each objective beside plain likelihood and transformers' Trainer, the stream, scoring, writing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from omnitrain.api import Batch, BatchPlan
from omnitrain.api.bench import Bar, Bench
from omnitrain.engine import OptimiserConfig, Options, isolated, load_recipe, make_optimiser, run_recipe
from omnitrain_language.configs import CausalNllConfig
from omnitrain_language.decoding import CausalDecoder
from omnitrain_language.masks import accept_masks
from omnitrain_language.objectives import CAUSAL_NEEDS, TokenNll
from omnitrain_phf.alignment import align
from omnitrain_phf.blocks import BlockLayout, BlockReader, Blocks, Control, SeededDraws
from omnitrain_phf.configs import AwrConfig, ConditionalConfig, RwrConfig, UnlikelihoodConfig, ValueHeadConfig
from omnitrain_phf.contacts import contact_documents
from omnitrain_phf.corpus import Corpus
from omnitrain_phf.model import add_value_head
from omnitrain_phf.objective import Awr, Conditional, Mle, Rwr, Unlikelihood
from omnitrain_phf.scorer_configs import PycodestyleConfig, ScrubadubConfig
from omnitrain_phf.scorers import make_scorer
from omnitrain_phf.scoring import score_chunk
from omnitrain_phf.segments import split_lines, split_sentences
from omnitrain_phf.stream import ScoredStream
from omnitrain_phf.writing import WritingSettings, write

VOCABULARY, ROWS, LENGTH, STEPS = 8192, 8, 128, 6
# The limits: 3 % over a plain step, 10 % for unlikelihood.
LIMIT, UNLIKELIHOOD_LIMIT = 1 / 1.03, 1 / 1.10


def _model(vocabulary: int, value_head: bool = False) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    with isolated(0):
        size = {"vocab_size": vocabulary, "n_positions": LENGTH, "n_embd": 128, "n_layer": 4, "n_head": 4}
        dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        ids = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
        model = GPT2LMHeadModel(GPT2Config(**size, **dropout, **ids, activation_function="gelu_pytorch_tanh"))
    accept_masks(model)
    return add_value_head(model, ValueHeadConfig()) if value_head else model


def _batch(generator: np.random.Generator) -> Batch:
    ids = generator.integers(2, VOCABULARY, (ROWS, LENGTH))
    scores = np.where(generator.random((ROWS, LENGTH)) < 0.2, 0.5, 0.0).astype(np.float32)
    batch: Batch = {name: torch.from_numpy(array) for name, array in align(ids, scores).items()}
    return {**batch, "update_rows": torch.full((ROWS,), ROWS)}


def _step(objective: Any, model: nn.Module, batch: Batch) -> Callable[[], float]:
    """A variant that times updates in a bare loop: forward, backward, clipping, AdamW."""
    optimiser = make_optimiser(OptimiserConfig(), model, 1e-4)

    def measure() -> float:
        begin = process_time()
        for _ in range(STEPS):
            loss = objective(model, batch)
            (loss.total / loss.weight).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return (process_time() - begin) / STEPS * 1e3

    return measure


def _objectives() -> list[Bench]:
    plain = _step(TokenNll(CausalNllConfig(), CAUSAL_NEEDS, ()), _model(VOCABULARY), _batch(np.random.default_rng(0)))
    candidates: dict[str, tuple[Any, bool]] = {
        "mle": (Mle(), False),
        "conditional": (Conditional(ConditionalConfig()), False),
        "unlikelihood": (Unlikelihood(UnlikelihoodConfig()), False),
        "rwr": (Rwr(RwrConfig()), False),
        "awr": (Awr(AwrConfig()), True),
    }
    found = []
    for name, (objective, head) in candidates.items():
        ours = _step(objective, _model(VOCABULARY, head), _batch(np.random.default_rng(0)))
        bar = Bar("language/causal-nll", UNLIKELIHOOD_LIMIT if name == "unlikelihood" else LIMIT)
        summary = f"an update of 8 x 128 tokens, GPT-2 4 x 128, vocabulary {VOCABULARY}"
        variants = {f"phf/{name}": ours, "language/causal-nll": plain}
        found.append(Bench(f"step with phf/{name}", summary, "ms a step", f"phf/{name}", variants, bars=(bar,), rounds=7))
    return found


RECIPE = """
stages:
  - name: train
    use: core/fit
    data: {use: phf/scored-text, score: {path: builtin:contacts}, tokenizer: {vocabulary_size: 1024}, length: 128}
    model: {use: phf/causal, size: mini, max_length: 128}
    objective: {use: phf/unlikelihood}
    fit: {steps: 40, batch_size: 8, log_every: 40, checkpoint_every: 0, evaluate_batches: 0, learning_rate: 1e-4}
"""
FEW, MANY = 4, 34


def _per_step(run: Callable[[int], None]) -> float:
    """Return CPU milliseconds a step from two runs of different length, so that the set-up does not count."""
    times = []
    for steps in (FEW, MANY):
        begin = process_time()
        run(steps)
        times.append(process_time() - begin)
    return (times[1] - times[0]) / (MANY - FEW) * 1e3


def _core(steps: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "bench.yaml"
        recipe.write_text(RECIPE, "utf-8")
        run_recipe(load_recipe(str(recipe), [f"train.fit.steps={steps}"]), Path(folder) / "run", Options(quiet=True))


class _Rows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """As many examples as the Trainer needs, in memory."""

    def __init__(self) -> None:
        self._ids = torch.from_numpy(np.random.default_rng(0).integers(2, 1024, (320, LENGTH)))

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self._ids[row], "labels": self._ids[row]}


def _trainer(steps: int) -> None:
    """transformers' Trainer with its own loss on a model of the same size, all its extras off."""
    from transformers import PrinterCallback, Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=1e-4,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
        )
        trainer = Trainer(model=_model(1024), args=arguments, train_dataset=_Rows())
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _against_trainer() -> Bench:
    variants: dict[str, Callable[[], float]] = {"core/fit with phf/unlikelihood": lambda: _per_step(_core)}
    absent: tuple[str, ...] = ()
    try:
        import accelerate  # noqa: F401
    except ImportError:
        absent = ("transformers Trainer",)
    else:
        variants["transformers Trainer"] = lambda: _per_step(_trainer)
    return Bench(
        "training loop",
        "an update of 8 x 128 tokens, GPT-2 4 x 128, vocabulary 1024; the Trainer with plain likelihood",
        "ms a step",
        "core/fit with phf/unlikelihood",
        variants,
        bars=() if absent else (Bar("transformers Trainer", 1.0),),
        absent=absent,
        rounds=3,
    )


def _corpus(generator: np.random.Generator, documents: int = 4000) -> Corpus:
    counts = generator.integers(5, 60, documents)
    lengths = generator.integers(5, 40, int(counts.sum()))
    scores = np.where(generator.random(len(lengths)) < 0.2, 0.5, 0.0)
    return Corpus(
        generator.integers(2, 50257, int(lengths.sum())).astype(np.uint16),
        np.append(0, np.cumsum(lengths)),
        scores,
        (lengths * 4).astype(np.int32),
        np.append(0, np.cumsum(counts)),
        np.zeros(documents),
        np.ones(documents, np.uint8),
        np.array([0, documents]),
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
        for _ in range(40):
            next(batches)
        return 40 * 64 * 1024 / (process_time() - begin) / 1e6

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
        for document in range(400):
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


def _scoring(name: str, settings: Any, segments: str, documents: list[tuple[str, str]]) -> Bench:
    scorer = make_scorer(settings)
    split = split_lines if segments == "lines" else split_sentences
    parts = [split(text) for _, text in documents]
    characters = sum(len(text) for _, text in documents)

    def whole() -> float:
        begin = process_time()
        score_chunk(settings.model_dump_json(), segments, documents)
        return characters / (process_time() - begin) / 1e6

    def alone() -> float:
        begin = process_time()
        for found in parts:
            scorer.score_segments(found)
        return characters / (process_time() - begin) / 1e6

    variants = {"phf/score": whole, "scorer alone": alone}
    # Sentences have to be found first, which the scorer alone does not do.
    bars = (Bar("scorer alone", 1 / 1.10),) if segments == "lines" else ()
    summary = f"{segments} to records, one process"
    return Bench(f"scoring with {name}", summary, "M characters/s", "phf/score", variants, True, bars=bars)


def _writing() -> Bench:
    model = _model(1024).eval()
    predictor: Any = SimpleNamespace(
        model=model,
        tokenizer=lambda text, **more: SimpleNamespace(input_ids=[]),
        eos_ids=[1],
        decoder=lambda: CausalDecoder(model, 0),
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


def benches() -> list[Bench]:
    """Objectives, training loop, stream, scoring and writing."""
    from omnitrain_language.builtin import builtin_documents

    stream = Bench(
        "stream",
        "control tokens, scores, blocks of 1024, shuffled; batches of 64",
        "M tokens/s",
        "phf/scored-text",
        {"phf/scored-text": _stream(), "Python lists": _in_lists()},
        higher_is_better=True,
        bars=(Bar("Python lists", 5.0),),
    )
    code = [(name, text) for name, text, _ in builtin_documents("code")[:12]]
    contacts = list(contact_documents(0.1, 1200))
    return [
        *_objectives(),
        _against_trainer(),
        stream,
        _scoring("pycodestyle", PycodestyleConfig(), "lines", code),
        _scoring("scrubadub", ScrubadubConfig(), "sentences", contacts),
        _writing(),
    ]
