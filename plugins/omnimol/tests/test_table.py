"""Prompts of tasks, as strings, and tasks that settings add."""

import pytest

from omnitrain.errors import UsageError
from omnitrain_omnimol.tasks.table import TASKS, graph_smiles, question, task_row

MOLECULES = "[C][C].[O]"
SUFFIXES = {
    "forward": " [C][C].[O]",
    "retrosynthesis": " The product is: [C][C].[O]",
    "reagent": " The reaction is [C][C].[O]",
    "catalyst": " The reaction is [C][C].[O].",
    "solvent": " The reaction is [C][C].[O].",
    "yield": " The reaction is [C][C].[O].",
    "homolumo": " The compound SELFIES sequence is: [C][C].[O]",
    "logp": " The molecule SELFIES sequence is: [C][C].[O]",
    "weight": " The molecule SELFIES sequence is: [C][C].[O]",
    "scf": " The molecule SELFIES sequence is: [C][C].[O]",
    "tpsa": " The compound SELFIES sequence is: [C][C].[O]",
    "complexity": " The compound SELFIES sequence is: [C][C].[O]",
    "dqa": " The compound SELFIES sequence is: [C][C].[O]",
    "molcap": " The compound sequence is: [C][C].[O]",
    "experiment": "[C][C].[O]. The Action Sequence: ",
    "iupac": " The IUPAC name is: [C][C].[O]",
    "textguidedmolgen": " The description is: [C][C].[O]",
    "molediting": " The compound SELFIES sequence is: [C][C].[O]",
}


@pytest.mark.parametrize("name", SUFFIXES)
def test_question_of_each_task_is_that_of_the_code(name):
    front = "" if name in ("iupac", "textguidedmolgen") else "<image>\n"
    assert question(TASKS[name], "Do it.", MOLECULES, graphs=True) == f"{front}Do it.{SUFFIXES[name]}"
    assert question(TASKS[name], "Do it.", MOLECULES, graphs=False) == f"Do it.{SUFFIXES[name]}"


def test_table_has_the_18_tasks():
    assert set(TASKS) == set(SUFFIXES)


def test_graph_is_of_the_molecule_that_the_task_says():
    reaction = "[C][O].[N]>>[C]"
    assert graph_smiles(TASKS["reagent"], reaction, "") == "CO.N"
    assert graph_smiles(TASKS["forward"], MOLECULES, "") == "CC"
    assert graph_smiles(TASKS["retrosynthesis"], MOLECULES, "") == "CC.O"
    assert graph_smiles(TASKS["tpsa"], MOLECULES, "") == "CC"
    assert graph_smiles(TASKS["experiment"], "ADD $1$", "CCO.N") == "CCO.N"
    assert graph_smiles(TASKS["iupac"], "ethanol", "") == ""
    assert graph_smiles(TASKS["weight"], "[C][foo]", "") is None


def test_new_task_says_all_or_what_it_is_like():
    assert task_row("rings", "weight", {"instruction": "How many?"}).suffix == TASKS["weight"].suffix
    with pytest.raises(UsageError, match="it lacks graph, target, metrics"):
        task_row("rings", None, {"suffix": " {input}"})
    with pytest.raises(UsageError, match="there is no task 'wait'"):
        task_row("rings", "wait", {})
