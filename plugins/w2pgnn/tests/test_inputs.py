"""What settings lead to in the folder of the data is told, so that a run notices when it changes."""

from omnitrain.recipes import named_inputs
from omnitrain_w2pgnn.configs.data import GraphsConfig


def test_files_in_the_folder_of_the_data_are_inputs(tmp_path):
    (tmp_path / "own.txt").write_text("0 1\n")
    (tmp_path / "planetoid").mkdir()
    edges = GraphsConfig(path="own.txt", labels="degree-quartiles", root=str(tmp_path))
    assert edges.inputs() == [tmp_path / "own.txt"]
    assert [named.what for named in named_inputs(edges)] == ["path", "path", "path"]
    assert GraphsConfig(path="planetoid/cora", root=str(tmp_path)).inputs() == [tmp_path / "planetoid"]
    assert GraphsConfig(path="x" * 5000).path in [
        text for named in named_inputs(GraphsConfig(path="x" * 5000)) for text in named.texts
    ]
    assert GraphsConfig().inputs() == []
