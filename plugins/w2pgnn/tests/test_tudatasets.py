"""TUDataset folders and torch_geometric's data that are not quite ones: compared, refused with the line, or said."""

from types import SimpleNamespace

import numpy as np
import pytest

from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.sources import from_geometric
from omnitrain_w2pgnn.graphs.structure import from_edges
from omnitrain_w2pgnn.graphs.tudatasets import read_tu_folder

GOOD = {
    "A": "1, 2\n2, 1\n3, 4\n4, 5\n6, 7\n",
    "graph_indicator": "1\n1\n2\n2\n2\n3\n3\n",
    "graph_labels": "1\n-1\n1\n",
    "node_labels": "0\n1\n2\n3\n4\n5\n6\n",
}


def folder(tmp_path, **changed):
    for part, text in {**GOOD, **changed}.items():
        if text is not None:
            (tmp_path / f"TOY_{part}.txt").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"A": "1, 2\n1, 2\n1, 2\n"}, r"TOY_A\.txt: all edges are of the nodes 1 to 2 of 7; .*not anew in each"),
        ({"A": "1, 2\n1, 3\n"}, r"TOY_A\.txt:2: the edge 1, 3 joins graph 1 and graph 2"),
        ({"A": "0, 1\n"}, r"TOY_A\.txt:1: the edge 0, 1 names a node outside of 1 to 7"),
        ({"A": "1, x\n"}, r"TOY_A\.txt:1: expected 2 whole numbers"),
        ({"A": "1, 2\n3\n"}, r"TOY_A\.txt:2: 1 columns; expected 2"),
        ({"A": "1, 99999999999999999999\n"}, r"TOY_A\.txt:1: expected 2 whole numbers"),
        ({"graph_labels": "1\n0\n"}, r"TOY_graph_labels\.txt: 2 labels; there are 3 graphs"),
        ({"graph_labels": "1\n0\n1\n0\n"}, r"TOY_graph_labels\.txt: 4 labels; there are 3 graphs"),
        ({"node_labels": "1\n2\n"}, r"TOY_node_labels\.txt: 2 lines; there are 7 nodes"),
        ({"graph_indicator": "1\n1\n2\n2\n2\n4\n4\n"}, r"TOY_graph_indicator\.txt:6: graph 4; expected 2 or 3"),
        ({"graph_indicator": "0\n0\n1\n1\n1\n2\n2\n"}, r"TOY_graph_indicator\.txt:1: graph 0; expected 1"),
        ({"graph_indicator": "2\n1\n2\n2\n2\n3\n3\n"}, r"TOY_graph_indicator\.txt:1: graph 2; expected 1"),
        ({"graph_indicator": ""}, r"TOY_graph_indicator\.txt is empty"),
        ({"graph_indicator": None}, r"TOY_graph_indicator\.txt is not there"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, changed, message):
    with pytest.raises(DataError, match=message):
        read_tu_folder(folder(tmp_path, **changed), Faults("refuse"))


@pytest.mark.parametrize(
    ("changed", "labels", "note"),
    [
        ({"graph_labels": None}, None, "is not there, so that the graphs have no labels"),
        ({"graph_labels": "0.5\n1.5\n0.5\n"}, None, "measured values such as 0.5"),
        ({"graph_labels": "1, 0\n0, 1\n1, 1\n"}, None, "2 labels a graph are no one class"),
        ({"graph_labels": "1.0\n0.0\n1.0\n"}, [1, 0, 1], ""),
        ({"graph_labels": "toxic\nfine\ntoxic\n"}, [1, 0, 1], "classes in alphabetical order: fine, toxic"),
        ({"A": "\ufeff1, 2\n3, 4\n"}, [1, 0, 1], ""),
    ],
)
def test_labels_that_are_no_classes_are_none_and_said(tmp_path, changed, labels, note):
    faults = Faults("refuse")
    graphs = read_tu_folder(folder(tmp_path, **changed), faults)
    assert graphs.sizes.tolist() == [2, 3, 2]
    assert (None if graphs.labels is None else graphs.labels.tolist()) == labels
    assert note in " ".join(faults.notes)
    assert bool(note) == bool(faults.notes)


def test_an_archive_unpacked_one_folder_deeper_is_found(tmp_path):
    inner = tmp_path / "TOY"
    inner.mkdir()
    folder(inner)
    (inner / "._TOY_A.txt").write_bytes(b"\x00\x05\x16\x07")
    faults = Faults("refuse")
    assert len(read_tu_folder(tmp_path, faults)) == 3
    assert "one folder deeper, in TOY" in faults.notes[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds 0 files \*_A.txt"):
        read_tu_folder(tmp_path / "empty", Faults("refuse"))


def geometric(y=None, edges=((0, 1), (1, 0)), nodes=3):
    return SimpleNamespace(num_nodes=nodes, edge_index=np.array(edges).T, y=y)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 1.0, 0.0], [0, 1, 0]),
        ([0.0, 1.0, np.nan], [0, 1, -1]),
        ([0.0, 0.5, 1.5], None),
        ([np.nan, np.nan, np.nan], None),
        ([3, 5, 3], [3, 5, 3]),
        ([True, False, True], [1, 0, 1]),
        ([-1, 1, -1], [0, 1, 0]),
        (["a", "b", "a"], None),
    ],
)
def test_numbers_of_torch_geometric_are_classes_only_where_they_are_whole(values, labels):
    faults = Faults("refuse")
    graphs = from_geometric([geometric(np.array([v])) for v in values], faults)
    assert (None if graphs.labels is None else graphs.labels.tolist()) == labels
    if labels is None:
        assert "taken as none" in faults.notes[-1]
        with pytest.raises(DataError, match="Delete y"):
            from_geometric([geometric(np.array([v])) for v in values])


def test_edges_beyond_a_graphs_nodes_join_no_other_graph():
    with pytest.raises(DataError, match="graph 1: edge_index names the node 3; it has 3 nodes"):
        from_geometric([geometric(), geometric(edges=((0, 3),)), geometric()])
    with pytest.raises(DataError, match="Edge 1, of the nodes 1 and 2, joins graph 0 and graph 1"):
        from_edges([2, 2], [(0, 1), (1, 2)])
    with pytest.raises(DataError, match="names a node outside of 0 to 3"):
        from_edges([2, 2], [(0, 4)])
