"""Settings of data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from omnitrain.api import Config, InputPath
from omnitrain_omnimol.configs.limits import Positive, Rate, Share


class TaskConfig(Config):
    """Where the rows of a task come from. What a row of the table says is taken where a setting is left out."""

    path: InputPath = "builtin"
    """`builtin`, for molecules that are enumerated by rules with labels of rdkit (weight, logp, tpsa, complexity, rings,
    smiles, forward, retrosynthesis; `builtin:rings` for one under another name), or a file: instruction JSON, .csv, .tsv or
    .txt with a column of SMILES or reactions."""
    task: str | None = None
    """Rows of an instruction file that are taken: those whose `metadata.task` is this; nothing means: all."""
    column: str | None = None
    """The column that holds the values in a table of SMILES."""
    share: Share = 1.0
    """Share of the rows in split `train` that is kept, drawn by `seed`."""
    like: str | None = None
    """The row of the table that a task under a new name takes after."""
    suffix: str | None = None
    """What stands behind the instruction, with {input}."""
    graph: Literal["whole", "first", "left", "named", "none"] | None = None
    """The molecule that becomes the graph: the input, its first component, the left side of a reaction, those in
    `metadata.extracted_molecules`, or none."""
    target: Literal["molecule", "number", "text"] | None = None
    """What is answered."""
    metrics: Literal["molecules", "extracted", "orbitals", "scf", "determination", "texts", "procedures"] | None = None
    """How answers are measured."""
    instruction: str | None = None
    """The instruction where the file brings none."""


class MoleculeTokenizerConfig(Config):
    """A byte-level BPE with one token for each symbol of SELFIES, trained on questions and answers, or one from a folder."""

    path: InputPath | None = None
    """A folder with a saved tokenizer that has Llama 3's marks of turns, or a hub name; nothing means: train one."""
    vocabulary_size: Annotated[int, Field(ge=270, le=1_000_000)] = 512
    """Ids of a trained tokenizer without the symbols of SELFIES."""


class TasksConfig(Config):
    """Questions and answers of molecular tasks, a graph with each."""

    tasks: Annotated[dict[str, TaskConfig], Field(min_length=1)]
    """The tasks by name: forward, retrosynthesis, reagent, catalyst, solvent, yield, homolumo, logp, weight, scf, tpsa,
    complexity, dqa, molcap, experiment, iupac, textguidedmolgen, molediting, or new ones. All rows of all tasks are one set, as
    in the paper."""
    graphs: bool = True
    """Whether a molecule's graph stands in front of the question; without, the rows are plain text for any causal model."""
    notation: Literal["selfies", "smiles"] = "selfies"
    """How molecules are written in questions and answers."""
    tokenizer: MoleculeTokenizerConfig = MoleculeTokenizerConfig()
    """How text becomes tokens."""
    length: Annotated[int, Field(ge=8)] = 2048
    """Longest row in tokens, those of the graph among them."""
    too_long: Literal["drop", "refuse"] = "drop"
    """What becomes of longer rows: they are left out and counted, or end the run; an answer is never cut."""
    malformed: Literal["skip", "refuse"] = "skip"
    """What becomes of rows without an answer or without a molecule that can be read: left out, counted and named, or the end of
    the run."""
    valid_fraction: Rate = 0.1
    """Share of the training rows in split `valid`; which ones is a stable hash of input."""
    test_fraction: Rate = 0.1
    """Share of the rows in split `test` of files that don't tell their own."""
    most_rows: Positive | None = None
    """At most so many rows of each task in each split."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the shares that are drawn; stages that share a tokenizer have the same."""
    system: str | None = None
    """The system's turn; nothing means: that of the paper's code."""
