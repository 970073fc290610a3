"""Data of tasks: embedded molecules, files of users, what is left out and told."""

import json

import pytest
import torch

from omnitrain.errors import DataError, UsageError
from omnitrain_omnimol.configs.data import MoleculeTokenizerConfig, TaskConfig, TasksConfig
from omnitrain_omnimol.data.tasks import TasksData
from omnitrain_omnimol.tasks.records import Refused
from omnitrain_omnimol.tasks.rows import rows_of


def data(context, tmp_path, tasks, **settings):
    found = TasksData(TasksConfig(tasks=tasks, tokenizer=MoleculeTokenizerConfig(vocabulary_size=300), **settings))
    found.prepare(tmp_path / "work", context)
    return found


def instructions(path, *rows):
    path.write_text(json.dumps(list(rows)), encoding="utf-8")
    return TaskConfig(path=str(path))


def row(text, answer, split="train", **metadata):
    return {"instruction": "Do it.", "input": text, "output": answer, "metadata": {"split": split, **metadata}}


def rows(tasks, **settings):
    refused: dict[str, Refused] = {}
    return list(rows_of(TasksConfig(tasks=tasks, **settings), refused)), refused


def test_batch_is_that_of_its_rows_with_labels_at_answers(context, tmp_path):
    found = data(context, tmp_path, {"weight": TaskConfig(), "forward": TaskConfig()}, most_rows=6)
    batch = found.collate([found.examples("train")[i] for i in (0, 7, 3)])
    assert batch["task_ids"].tolist() == [0, 1, 0]
    for number, index in enumerate((0, 7, 3)):
        told = found.rows["train"][index]
        chosen = batch["loss_weights"][number] > 0
        assert found.tokenizer.decode(batch["labels"][number][chosen]) == f"{told.answer}<|eot_id|>"
        assert batch["graph_mask"][number].sum() == 1
        assert (batch["input_ids"] >= 0).all()  # other models read such rows, too, with a gap where the graph stands
        alone = found.collate([found.examples("train")[index]])
        length = alone["input_ids"].shape[1]
        assert torch.equal(batch["input_ids"][number, :length], alone["input_ids"][0])


def test_rows_with_and_without_graphs_have_one_tokenizer(context, tmp_path):
    with_graphs = data(context, tmp_path, {"weight": TaskConfig()}, most_rows=6)
    without = data(context, tmp_path, {"weight": TaskConfig()}, most_rows=6, graphs=False)
    assert with_graphs.facts()["tokens"] == without.facts()["tokens"]
    assert "graph_mask" not in without.collate([without.examples("train")[0]])


def test_new_task_is_a_file_and_a_row_of_settings(tmp_path):
    file = instructions(tmp_path / "melting.json", row("[C][O]", "12.5", task="Melting"), row("[C]", "3", "test", task="Other"))
    new = file.model_copy(update={"suffix": " Of: {input}", "graph": "whole", "target": "number", "metrics": "extracted"})
    found, _ = rows({"melting": new.model_copy(update={"task": "Melting"})}, valid_fraction=0)
    assert [(r.question, r.answer, r.smiles, r.split) for r in found] == [("<image>\nDo it. Of: [C][O]", "12.5", "CO", "train")]
    with pytest.raises(UsageError, match=r"tasks\.melting: it lacks suffix"):
        rows({"melting": file})


def test_rows_that_can_not_be_taken_are_counted_and_named_or_end_the_run(tmp_path):
    lacking = {"instruction": "a", "input": "[C]", "output": "1"}
    file = instructions(tmp_path / "w.json", row("[C]", "1"), row("[C]", " "), row("[C][foo]", "1"), lacking)
    found, refused = rows({"weight": file})
    assert len(found) == 1
    assert refused["weight"].told() == {
        "an empty answer": "1 (w.json:[1])",
        "SELFIES with unknown symbols": "1 (w.json:[2])",
        "no metadata.split of train or test": "1 (w.json:[3])",
    }
    with pytest.raises(DataError, match=r"an empty answer: 1 \(w.json:\[1\]\)"):
        rows({"weight": file}, malformed="refuse")


def test_rows_longer_than_length_with_their_atoms_are_left_out_or_refused(context, tmp_path):
    file = instructions(tmp_path / "w.json", row("[C]", "1"), row("[C]" * 500, "7000"))
    found = data(context, tmp_path, {"weight": file}, length=400, valid_fraction=0)
    assert [r.answer for r in found.rows["train"]] == ["1"]
    with pytest.raises(DataError, match="500 of them atoms, and length is 400"):
        data(context, tmp_path, {"weight": file}, length=400, valid_fraction=0, too_long="refuse")


def test_tables_of_smiles_yields_and_descriptions_are_read(tmp_path):
    (tmp_path / "a.csv").write_text('smiles,logs\nCCO,-0.5\n"C1CC",1\n', encoding="utf-8")
    (tmp_path / "b.csv").write_text("rxn,y,split\nCBr.N~[Na+]>>CN,0.25,test\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text('CID\tSMILES\tdescription\n1\tCO\tAn "alcohol".\n', encoding="utf-8")
    coupling = "ligand,additive,base,aryl_halide,yield,split\nP,CC,CN,Clc1ccccc1,50,train\n"
    (tmp_path / "d.csv").write_text(coupling, encoding="utf-8")
    tasks = {
        "logs": TaskConfig(path=str(tmp_path / "a.csv"), column="logs", like="logp", instruction="How soluble?"),
        "yield": TaskConfig(path=str(tmp_path / "b.csv")),
        "molcap": TaskConfig(path=str(tmp_path / "c.txt")),
        "textguidedmolgen": TaskConfig(path=str(tmp_path / "c.txt")),
        "coupling": TaskConfig(path=str(tmp_path / "d.csv"), like="yield"),
    }
    found, refused = rows(tasks, valid_fraction=0, test_fraction=0)
    assert [(r.task, r.answer, r.smiles, r.split) for r in found] == [
        ("logs", "-0.5", "CCO", "train"),
        ("yield", "0.2500", "CBr.N.[Na+1]", "test"),
        ("molcap", 'An "alcohol".', "CO", "train"),
        ("textguidedmolgen", "[C][O]", "", "train"),
        ("coupling", "0.5000", "ClC1=CC=CC=C1.P.CN.CC.CC2=CC=C(N)C=C2", "train"),
    ]
    assert len(refused["logs"]) == 1
    with pytest.raises(DataError, match="which column holds the values of logp"):
        rows({"logp": TaskConfig(path=str(tmp_path / "a.csv"))})


def test_share_is_drawn_by_the_seed():
    taken = [
        {r.question for r in rows({"weight": TaskConfig(share=0.3)}, seed=seed)[0] if r.split == "train"} for seed in (0, 0, 1)
    ]
    every = sum(r.split == "train" for r in rows({"weight": TaskConfig()})[0])
    assert taken[0] == taken[1] != taken[2]
    assert 0.2 < len(taken[0]) / every < 0.4


def test_smiles_in_place_of_selfies():
    found, _ = rows({"forward": TaskConfig(), "weight": TaskConfig()}, notation="smiles", most_rows=1)
    assert found[0].question.startswith("<image>\nWhich product do these reactants and reagents give? O=C(O)")
    assert "SELFIES" not in found[-1].question
