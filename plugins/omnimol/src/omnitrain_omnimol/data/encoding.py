"""Rows as arrays, and batches of any of them in one vectorised step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from omnitrain.api import Batch
from omnitrain_omnimol.molecules.graphs import MoleculeGraph, Packed, pack
from omnitrain_omnimol.paper.chat import training_row
from omnitrain_omnimol.paper.fusion import GRAPH_TOKEN, IGNORED
from omnitrain_omnimol.tasks.rows import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EncodedRow:
    """ids: of question and answer. prompt: how many are the question's. positions: with the atoms of its graph."""

    ids: list[int]
    prompt: int
    task: int
    positions: int


def encode_row(row: Row, task: int, tokenizer: PreTrainedTokenizerFast, system: str, nodes: int) -> EncodedRow:
    """Encode a row. nodes: of its graph, which take the place of the graph's token."""
    ids, labels = training_row(row.question, row.answer, lambda text: tokenizer(text).input_ids, system)
    prompt = labels.count(IGNORED)
    return EncodedRow(ids, prompt, task, len(ids) - 1 + max(nodes - 1, 0))


@dataclass(frozen=True)
class Stored:
    """The rows of a split: ids one row behind the other, and the graph of each (-1 for none)."""

    ids: Ints
    offsets: Ints
    prompts: Ints
    positions: Ints
    task_ids: Ints
    graph_numbers: Ints
    graphs: Packed


def store(rows: list[EncodedRow], graphs: list[MoleculeGraph | None]) -> Stored:
    """Lay rows and their graphs out; equal graphs are kept once."""
    known: dict[int, int] = {}
    distinct: list[MoleculeGraph] = []
    numbers = []
    for graph in graphs:
        if graph is not None and id(graph) not in known:
            known[id(graph)] = len(distinct)
            distinct.append(graph)
        numbers.append(-1 if graph is None else known[id(graph)])
    return Stored(
        np.array([token for row in rows for token in row.ids], np.int64),
        np.cumsum([0, *(len(row.ids) for row in rows)], dtype=np.int64),
        np.array([row.prompt for row in rows], np.int64),
        np.array([row.positions for row in rows], np.int64),
        np.array([row.task for row in rows], np.int64),
        np.array(numbers, np.int64),
        pack(distinct),
    )


def make_batch(stored: Stored, rows: Ints, pad: int, graphs: bool) -> Batch:
    """Return the batch of some rows: labels are what each position predicts, weighted at the answer; the last token of a row is
    only predicted. graphs: with the molecules, and `graph_mask` where they stand among the ids, which are padding there."""
    starts = stored.offsets[rows]
    lengths = stored.offsets[rows + 1] - starts - 1
    columns = np.arange(int(lengths.max(initial=1)))
    real = columns < lengths[:, None]
    places = np.where(real, starts[:, None] + columns, 0)
    batch = {
        "input_ids": torch.from_numpy(np.where(real, stored.ids[places], pad)),
        "labels": torch.from_numpy(np.where(real, stored.ids[places + real], pad)),
        "loss_weights": torch.from_numpy((real & (columns + 1 >= stored.prompts[rows][:, None])).astype(np.float32)),
        "attention_mask": torch.from_numpy(real),
        "task_ids": torch.from_numpy(stored.task_ids[rows]),
        "example_ids": torch.from_numpy(rows),
    }
    if graphs:
        atoms, bonds = stored.graphs.gather(stored.graph_numbers[rows])
        batch |= {"atoms": torch.from_numpy(atoms), "bonds": torch.from_numpy(bonds)}
        batch["graph_mask"] = batch["input_ids"] == GRAPH_TOKEN
        batch["input_ids"] = batch["input_ids"].masked_fill(batch["graph_mask"], pad)
    # A label that no weight asks for may be the graph's token, which is no id.
    batch["labels"] = torch.where(batch["loss_weights"] > 0, batch["labels"], pad)
    return batch
