"""All tasks as rows of one table: the question, the molecule that becomes the graph, the answer and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from omnitrain.errors import UsageError
from omnitrain_omnimol.molecules.texts import decoded_selfies
from omnitrain_omnimol.paper.chat import IMAGE

Graph = Literal["whole", "first", "left", "named", "none"]
Target = Literal["molecule", "number", "text"]
Metrics = Literal["molecules", "extracted", "orbitals", "scf", "determination", "texts", "procedures"]
INPUT = "{input}"


@dataclass(frozen=True)
class Task:
    """A row of the table.

    suffix: what stands behind the instruction, with {input}. graph: the molecule that becomes the graph: the whole input, its
    first component, the left side of a reaction, those that the row's metadata name, or none. instruction: of files that bring
    none.
    """

    name: str
    suffix: str
    graph: Graph
    target: Target
    metrics: Metrics
    instruction: str = ""


_REACTION = " The reaction is {input}."
_MOLECULE = " The molecule SELFIES sequence is: {input}"
_COMPOUND = " The compound SELFIES sequence is: {input}"
_ROWS = (
    Task("forward", " {input}", "first", "molecule", "molecules", "Which product do these reactants and reagents give?"),
    Task("retrosynthesis", " The product is: {input}", "whole", "molecule", "molecules", "Which reactants give this product?"),
    Task("reagent", " The reaction is {input}", "left", "molecule", "molecules", "Which reagents does this reaction need?"),
    Task("catalyst", _REACTION, "left", "molecule", "molecules", "Which catalyst does this reaction need?"),
    Task("solvent", _REACTION, "left", "molecule", "molecules", "Which solvent does this reaction need?"),
    Task("yield", _REACTION, "left", "number", "determination", "What is the yield of this reaction, from 0 to 1?"),
    Task("homolumo", _COMPOUND, "whole", "number", "orbitals"),
    Task("logp", _MOLECULE, "whole", "number", "extracted", "What is the LogP of this molecule?"),
    Task("weight", _MOLECULE, "whole", "number", "extracted", "What is the molecular weight of this molecule?"),
    Task("scf", _MOLECULE, "whole", "number", "scf", "What is the SCF energy of this molecule?"),
    Task("tpsa", _COMPOUND, "first", "number", "extracted", "What is the topological polar surface area of this compound?"),
    Task("complexity", _COMPOUND, "first", "number", "extracted", "What is the complexity of this compound?"),
    Task("dqa", _COMPOUND, "first", "text", "texts"),
    Task("molcap", " The compound sequence is: {input}", "whole", "text", "texts", "Describe this molecule."),
    Task("experiment", "{input}. The Action Sequence: ", "named", "text", "procedures"),
    Task("iupac", " The IUPAC name is: {input}", "none", "molecule", "molecules", "Which molecule has this name?"),
    Task("textguidedmolgen", " The description is: {input}", "none", "molecule", "molecules", "Which molecule is described?"),
    Task("molediting", _COMPOUND, "whole", "molecule", "molecules"),
)
TASKS: Mapping[str, Task] = {task.name: task for task in _ROWS}
TEXT_INPUTS = ("iupac", "textguidedmolgen")
"""Tasks whose input is no molecule, which is why it is not written in another notation."""


def task_row(name: str, like: str | None, changes: Mapping[str, str | None]) -> Task:
    """Return a task: a row of the table, or of `like`, with what settings change of it.

    Raises UsageError for a new name without `like` that does not say all that a row needs.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    base = TASKS.get(like or name)
    if base is not None:
        return replace(base, name=name, **given)  # type: ignore[arg-type]
    needed = [key for key in ("suffix", "graph", "target", "metrics") if key not in given]
    if like is not None or needed:
        what = f"like: there is no task {like!r}" if like is not None else f"it lacks {', '.join(needed)}"
        raise UsageError(
            f"tasks.{name}: {what}: the table has {', '.join(TASKS)}; name one of these as `like`, or say suffix, graph, "
            "target and metrics of the new task"
        )
    return Task(name=name, **given)  # type: ignore[arg-type]


def question(task: Task, instruction: str, text: str, graphs: bool) -> str:
    """Return the user's turn. graphs: whether the row's graph stands in front; tasks without one have no place for it."""
    front = f"{IMAGE}\n" if graphs and task.graph != "none" else ""
    return f"{front}{instruction}{task.suffix.replace(INPUT, text)}"


def graph_text(task: Task, text: str, named: str) -> str:
    """Return the SELFIES, or for `named` the SMILES, of which the graph is made; empty for none."""
    if task.graph == "none":
        return ""
    if task.graph == "named":
        return named
    left = text.partition(">>")[0]
    return {"whole": text, "left": left, "first": text.partition(".")[0]}[task.graph]


def graph_smiles(task: Task, text: str, named: str) -> str | None:
    """Return the SMILES of a row's graph, "" for none, None for SELFIES that can't be read."""
    chosen = graph_text(task, text, named)
    return chosen if task.graph in ("none", "named") else decoded_selfies(chosen)
