"""Readers: what is read, and that a malformed line is named."""

import pickle

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain.errors import DataError, Unreachable, UsageError
from omnitrain_w2pgnn.configs.data import GraphsConfig
from omnitrain_w2pgnn.graphs.edgelists import read_edge_list
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, from_networkx
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.molecules import scaffold_groups
from omnitrain_w2pgnn.graphs.nodelabels import read_node_labels, with_node_labels
from omnitrain_w2pgnn.graphs.readers import degree_quartiles, read_gin_text, read_planetoid
from omnitrain_w2pgnn.graphs.sources import read_source
from omnitrain_w2pgnn.graphs.tudatasets import read_tu_folder

GENERATOR = np.random.default_rng(0)


def written(tmp_path, text, name="graph.edgelist"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_ids_are_numbered_in_order_of_appearance(tmp_path):
    graphs, ids = read_edge_list(written(tmp_path, "# comment\n7 3\n3 -1\n\n3,7\n7 7\n"), Faults("refuse"))
    assert ids == [7, 3, -1]
    np.testing.assert_array_equal(graphs.adjacency(0), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25))
@settings(max_examples=30, deadline=None)
def test_edge_lists_come_back_from_their_text(tmp_path_factory, pairs):
    path = written(tmp_path_factory.mktemp("lists"), "\n".join(f"{a} {b}" for a, b in pairs))
    graphs, ids = read_edge_list(path, Faults("refuse"))
    number = {int(v): i for i, v in enumerate(ids)}
    wanted = {frozenset((number[a], number[b])) for a, b in pairs if a != b}
    assert {frozenset(map(int, edge)) for edge in zip(graphs.sources(), graphs.indices, strict=True)} == wanted


@pytest.mark.parametrize("line", ["1", "1 b", "1 2 x", "1 2 3 4", "1 2 nan"])
def test_a_malformed_line_is_named_or_skipped(tmp_path, line):
    path = written(tmp_path, f"0 1\n1 2\n{line}\n2 3\n")
    with pytest.raises(DataError, match=r"graph.edgelist:3: expected two whole numbers.*malformed: skip"):
        read_edge_list(path, Faults("refuse"))
    faults = Faults("skip")
    graphs, _ = read_edge_list(path, faults)
    assert (graphs.nodes, faults.count) == (4, 1)
    assert ":3:" in faults.first


def test_weights_are_ignored_unless_they_are_asked_for(tmp_path):
    path = written(tmp_path, "0 1 2.5\n1 2 0.5\n")
    assert read_edge_list(path, Faults("refuse"))[0].weights is None
    kept, _ = read_edge_list(path, Faults("refuse"), keep_weights=True)
    assert kept.adjacency(0)[0, 1] == 2.5


def test_labels_with_a_header_and_isolated_nodes(tmp_path):
    graphs, ids = read_edge_list(written(tmp_path, "5 6\n"), Faults("refuse"))
    labels = read_node_labels(written(tmp_path, "node label\n6 1\n9 2\n", "labels.txt"), Faults("refuse"))
    found = with_node_labels(graphs, ids, labels)
    assert found.labels.tolist() == [-1, 1, 2]
    assert found.degrees.tolist() == [1, 1, 0]
    with pytest.raises(DataError, match=r"labels\.txt:2"):
        read_node_labels(written(tmp_path, "0 1\n1 x\n", "labels.txt"), Faults("refuse"))


def test_gin_text_and_its_faults(tmp_path):
    text = "2\n3 1\n0 2 1 2\n1 1 0\n1 1 0\n2 5\n0 1 1\n0 1 0\n"
    graphs = read_gin_text(written(tmp_path, text, "x.txt"), Faults("refuse"))
    assert graphs.sizes.tolist() == [3, 2]
    assert graphs.labels.tolist() == [0, 1]
    assert graphs.attributes.tolist() == [0, 1, 1, 0, 0]
    with pytest.raises(DataError, match=r"x\.txt:3"):
        read_gin_text(written(tmp_path, text.replace("0 2 1 2", "0 2 1 9"), "x.txt"), Faults("refuse"))
    faults = Faults("skip")
    assert len(read_gin_text(written(tmp_path, text.replace("0 2 1 2", "0 2 1 9"), "x.txt"), faults)) == 1
    assert faults.count == 1
    with pytest.raises(DataError, match="ends inside a graph"):
        read_gin_text(written(tmp_path, "1\n3 0\n0 0\n", "x.txt"), Faults("refuse"))


def test_tu_folder(tmp_path):
    for name, text in {
        "A": "1, 2\n2, 1\n3, 4\n",
        "graph_indicator": "1\n1\n2\n2\n",
        "graph_labels": "-1\n1\n",
        "node_labels": "0\n1\n2\n3\n",
    }.items():
        written(tmp_path, text, f"TOY_{name}.txt")
    graphs = read_tu_folder(tmp_path, Faults("refuse"))
    assert graphs.sizes.tolist() == [2, 2]
    assert graphs.labels.tolist() == [0, 1]
    assert graphs.attributes.tolist() == [0, 1, 2, 3]
    written(tmp_path, "1, 9\n", "TOY_A.txt")
    with pytest.raises(DataError, match="outside of 1 to 4"):
        read_tu_folder(tmp_path, Faults("refuse"))


def test_planetoid_files_run_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    (tmp_path / "ind.cora.graph").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="only arrays, lists and dictionaries"):
        read_planetoid(tmp_path, "cora")


def test_shared_data_has_the_sizes_that_its_readme_says(shared):
    cora = read_planetoid(shared / "planetoid", "cora")
    assert (cora.nodes, len(cora.indices), int(cora.labels.max()) + 1) == (2708, 10556, 7)
    graphs, _ = read_edge_list(shared / "brazil-airports.edgelist", Faults("refuse"))
    assert (graphs.nodes, len(graphs.indices) // 2) == (131, 1003)
    assert len(read_gin_text(shared / "tu_gin/MUTAG.txt", Faults("refuse"))) == 188


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_collections_are_the_same_at_every_reading(name):
    first, again = EMBEDDED[name](), EMBEDDED[name]()
    assert first.digest() == again.digest()
    assert first.nodes >= 15


def test_networkx_graphs_lose_directions_weights_loops_and_parallel_edges():
    graph = nx.MultiDiGraph([("a", "b"), ("b", "a"), ("a", "b"), ("c", "c")])
    assert from_networkx(graph).adjacency(0).sum() == 2


def test_degree_quartiles_put_equal_degrees_into_one_class(to_graphs):
    labels = degree_quartiles(to_graphs(nx.star_graph(7), nx.path_graph(4)))
    assert len(set(labels[1:8].tolist())) == 1
    assert labels[0] > labels[1]


def test_absent_files_say_where_was_looked(tmp_path):
    with pytest.raises(Unreachable, match=r"no file or folder 'nowhere.edgelist'.*set root"):
        read_source(GraphsConfig(path="nowhere.edgelist", root=str(tmp_path)), GENERATOR)
    with pytest.raises(UsageError, match="Did you mean 'karate'"):
        read_source(GraphsConfig(path="karat", format="embedded"), GENERATOR)


def test_formats_are_told_apart(tmp_path):
    written(tmp_path, "1\n2 0\n0 1 1\n0 1 0\n", "one.txt")
    written(tmp_path, "0 1\n1 2\n", "two.txt")
    assert len(read_source(GraphsConfig(path="one.txt", root=str(tmp_path)), GENERATOR).graphs) == 1
    assert read_source(GraphsConfig(path="two.txt", root=str(tmp_path)), GENERATOR).graphs.nodes == 3


def test_molecules_have_atoms_bonds_and_scaffolds(tmp_path):
    pytest.importorskip("rdkit", reason="molecules need the extra rdkit")
    path = written(tmp_path, "smiles,label\nc1ccccc1O,1\nCCO,0\nc1ccccc1N,1\n", "x.smi")
    found = read_source(GraphsConfig(path=str(path), scaffold_parts=2), GENERATOR).graphs
    assert found.sizes.tolist() == [7, 3, 7]
    assert found.attributes[6] == 8
    assert found.groups[0] == found.groups[2] != found.groups[1]
    with pytest.raises(DataError, match=r"x\.smi:2: 'nonsense' is not a SMILES"):
        read_source(GraphsConfig(path=str(written(tmp_path, "CC\nnonsense\n", "x.smi"))), GENERATOR)


@pytest.mark.parametrize(
    ("text", "labels", "note"),
    [
        ("num,name,p_np,smiles\n1,a,1,CCO\n2,b,0,c1ccccc1\n", [1, 0], "SMILES are of 'smiles', labels 'p_np'"),
        ("\ufeffCCO ethanol\nCC ethane\nC methane\n", [-1, -1, -1], "names each molecule"),
        ("smiles,logp\nCCO,-0.7\nCC,1.5\n", [-1, -1], "measured values such as"),
        ("C#C 1\nCC 0\n", [1, 0], ""),
        pytest.param(f"smiles,label\nC#C,{'9' * 330}\nCC,0\n", [1, 0], "", id="endless"),
    ],
)
def test_tables_of_molecules_say_where_their_columns_are(tmp_path, text, labels, note):
    pytest.importorskip("rdkit", reason="molecules need the extra rdkit")
    found = read_source(GraphsConfig(path=str(written(tmp_path, text, "x.smi"))), GENERATOR)
    assert found.graphs.labels.tolist() == labels
    assert note in " ".join(found.notes)


def test_scaffolds_are_cut_into_parts_of_as_many():
    groups = scaffold_groups([str(i % 20) for i in range(100)], 5, np.random.default_rng(0))
    assert np.bincount(groups).tolist() == [20] * 5
