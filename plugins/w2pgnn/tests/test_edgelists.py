"""Edge lists as people have them: the same graph from each, or a sentence that says what decides."""

import json

import networkx as nx
import numpy as np
import pytest

from omnitrain.api import PlansStage
from omnitrain.errors import DataError
from omnitrain_w2pgnn.configs.data import GraphsConfig
from omnitrain_w2pgnn.data.graphs import GraphsData
from omnitrain_w2pgnn.graphs.sources import read_source
from omnitrain_w2pgnn.stages.feasibility import feasibility

# A house with a chimney; its edges, in this order, number the nodes 0 to 5 by appearance.
EDGES = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5)]
GRAPH = nx.Graph(EDGES)


def lines(template, begin=(), ids=str, end="\n"):
    rows = [template.format(i=i, a=ids(a), b=ids(b)) for i, (a, b) in enumerate(EDGES)]
    return end.join([*begin, *rows, ""])


def read(tmp_path, content, name="graph.csv", **settings):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_source(GraphsConfig(path=str(path), **settings), np.random.default_rng(0))


def networkx_default(**weights):
    graph = nx.Graph()
    graph.add_edges_from(EDGES, **weights)
    return "\n".join(nx.generate_edgelist(graph)) + "\n"


def metis():
    rows = [" ".join(str(n + 1) for n in sorted(GRAPH[node])) for node in range(6)]
    return "\n".join(["% a comment", "6 7", *rows]) + "\n"


SAME = {
    "blanks": lines("{a} {b}"),
    "tabs and Windows": lines("{a}\t{b}", end="\r\n"),
    "mark": "\ufeff" + lines("{a},{b}"),
    "utf-16": lines("{a},{b}").encode("utf-16"),
    "header": lines("{a},{b}", ["source,target"]),
    "header of unknown names": lines("{a},{b}", ["person,friend"]),
    "header and weights": lines("{a},{b},0.5", ["source,target,weight"]),
    "columns in another order": lines("2020,{b},{a}", ["year,target,source"]),
    "pandas with its index": lines("{i},{a},{b}", [",source,target"]),
    "pandas without names": lines("{i},{a},{b}", [",0,1"]),
    "pandas of floats": lines("{a}.0,{b}.0"),
    "quoted": lines('"{a}","{b}"'),
    "semicolons and decimal commas": lines("{a};{b};0,5"),
    "large ids": lines("{a} {b}", ids=lambda n: str(2**64 - 1 - n)),
    "names": lines("{a} {b}", ids=lambda n: f"n{n}"),
    "names with commas": lines('"{a}","{b}"', ids=lambda n: f"Doe, J{n}"),
    "names with a header": lines("{a},{b}", ["source,target"], ids=lambda n: f"é{n}"),
    "networkx's default": networkx_default(),
    "networkx with data": networkx_default(weight=4, colour="a b"),
    "konect": lines("{a} {b} 1 1082040961", ["% sym unweighted", "% 7 6 6"]),
    "timestamps": lines("{a} {b} 1082040961"),
    "empty weights": lines("{a},{b},"),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_graph_comes_from_each_kind_of_edge_list(tmp_path, kind):
    found = read(tmp_path, SAME[kind])
    wanted = np.zeros((6, 6))
    for a, b in EDGES:
        wanted[a, b] = wanted[b, a] = 1
    np.testing.assert_array_equal(found.graphs.adjacency(0), wanted)
    assert found.skipped == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("g.graph", metis()),
        ("g.txt", metis()),
        ("g.mtx", lines("{b} {a}", ["%%MatrixMarket matrix coordinate pattern symmetric", "% made", "6 6 7"], lambda n: n + 1)),
        ("g.mtx", lines("{b} {a} 2.5", ["%%MatrixMarket matrix coordinate real general", "6 6 7"], lambda n: n + 1)),
    ],
)
def test_formats_whose_first_numbers_are_sizes_are_no_edge_lists(tmp_path, name, content):
    graphs = read(tmp_path, content, name).graphs
    assert {frozenset(map(int, edge)) for edge in zip(graphs.sources(), graphs.indices, strict=True)} == {
        frozenset(edge) for edge in EDGES
    }


def test_a_metis_file_by_the_name_of_an_edge_list_is_refused_with_the_choice(tmp_path):
    square = "4 4\n2 4\n1 3\n2 4\n1 3\n"
    with pytest.raises(DataError, match="METIS file begins with; set format: metis or edge-list"):
        read(tmp_path, square, "square.edgelist")
    assert len(read(tmp_path, square, "square.edgelist", format="metis").graphs.indices) == 8
    assert len(read(tmp_path, square, "square.edgelist", format="edge-list").graphs.indices) == 4


def test_weights_come_from_a_named_column_or_networkxs_dictionary(tmp_path):
    for content in (
        lines("{a},{b},x,4", ["source,target,colour,weight"]),
        lines("4;{a};{b}", ["weight;source;target"]),
        networkx_default(weight=4),
    ):
        assert set(read(tmp_path, content, keep_weights=True).graphs.weights.tolist()) == {4.0}
    with pytest.raises(DataError, match=r"graph\.csv:1: none of the columns source, target is known as a weight"):
        read(tmp_path, SAME["header"], keep_weights=True)
    assert "7 of 7 edges have no weight" in read(tmp_path, SAME["blanks"], keep_weights=True).notes[0]


def test_columns_of_a_recipe_decide(tmp_path):
    content = lines("{i},{a},{b}")
    with pytest.raises(DataError, match=r"first of three columns counts the lines.*columns: \[skip, source, target\]"):
        read(tmp_path, content)
    found = read(tmp_path, content, columns=["skip", "source", "target"]).graphs
    assert (found.nodes, len(found.indices)) == (6, 14)
    path = read(tmp_path, content, columns=["source", "target", "weight"]).graphs
    assert path.nodes == 7
    with pytest.raises(DataError, match=r"graph\.csv:1: 5 columns.*columns: \[source, target, skip, skip, skip\]"):
        read(tmp_path, lines("{a} {b} 1 2 3"))
    with pytest.raises(ValueError, match="source and target once"):
        GraphsConfig(columns=["source", "weight"])


def test_a_path_with_weights_in_plain_columns_is_no_index(tmp_path):
    assert read(tmp_path, "0 1 5\n1 2 3\n2 3 1\n", "path.edgelist").graphs.nodes == 4
    assert read(tmp_path, "0,1,0.5\n1,2,0.5\n2,3,1\n").graphs.nodes == 4


def test_a_missing_value_shifts_no_column(tmp_path):
    content = "1,2,0.5\n2,,3\n3,4,0.1\n"
    with pytest.raises(DataError, match=r"graph\.csv:2: expected two whole numbers.*found '2,,3' \(an id is missing\)"):
        read(tmp_path, content)
    found = read(tmp_path, content, malformed="skip")
    assert (found.graphs.nodes, len(found.graphs.indices), found.skipped) == (4, 4, 1)
    with pytest.raises(DataError, match=r"graph\.csv:2: expected two names.*an id is missing"):
        read(tmp_path, "a,b\nnan,c\n")
    assert read(tmp_path, "a,b\nnan,c\n", ids="text").graphs.nodes == 4


def test_a_name_among_numbers_is_refused_with_the_choice(tmp_path):
    with pytest.raises(DataError, match=r"graph\.csv:2: .*'n7' is no whole number; if it is a name, set ids: text"):
        read(tmp_path, "1 2\n3 n7\n")
    assert read(tmp_path, "1 2\n3 n7\n", ids="text").graphs.nodes == 4


def test_bipartite_lists_of_konect_keep_their_two_kinds_of_nodes_apart(tmp_path):
    found = read(tmp_path, "% bip unweighted\n1 1\n1 2\n2 2\n", "out.movies")
    assert found.graphs.nodes == 4
    assert "bipartite" in found.notes[0]


def test_what_was_taken_is_said(tmp_path, context):
    said = {kind: " ".join(read(tmp_path, content).notes) for kind, content in SAME.items()}
    assert said["blanks"] == said["large ids"] == said["networkx's default"] == ""
    assert "names columns; edges are of 'source' and 'target'" in said["pandas with its index"]
    assert "ids are names, 6 different ones, such as 'n0' and 'n1'" in said["names"]
    assert "line 1 is taken for an edge; set header: true" in said["names"]
    assert "taken for the edge 0 1; set header: true" in said["mark"]
    (tmp_path / "graph.csv").write_text("a b\nb c\nbad\n")
    data = GraphsData(GraphsConfig(path=str(tmp_path / "graph.csv"), malformed="skip"), context)
    data.prepare(tmp_path, context)
    assert [event["event"] for event in context.events] == ["read", "read", "malformed records skipped"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("classé\tb\n".encode("latin-1"), r"graph\.csv:1: the byte 0xe9 is not UTF-8"),
        (b"\x1f\x8b\x08rest", "is a gzip file; expected text: unpack it"),
        ("%%MatrixMarket matrix array real general\n2 2\n1\n", "expected 'matrix coordinate'"),
        ("%%MatrixMarket matrix coordinate pattern general\n2 3 1\n1 1\n", "2 rows and 3 columns is no graph's adjacency"),
        ("%%MatrixMarket matrix coordinate pattern general\n2 2 2\n1 2\n", "1 entries; its first lines say 2"),
        ("0 1 {'weight': 1\n", "expected two whole numbers"),
        ('"0,1\n', "expected two"),
        ("\x00\x01\n", "1 fields"),
        ("source,target\n", "holds no edges"),
        ("", "holds no edges"),
    ],
)
def test_what_is_no_edge_list_is_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("node,label\n0,b\n1,a\n2,b\n", [1, 0, 1, -1, -1, -1]),
        ("\ufeff0 0\n1 1\n2 0\n", [0, 1, 0, -1, -1, -1]),
        ("0;-1\n1;1\n2;\n", [0, 1, -1, -1, -1, -1]),
        ("0,1.0\n1,0.0\n", [1, 0, -1, -1, -1, -1]),
        ("0 5\n9 3\n", [5, -1, -1, -1, -1, -1, 3]),
    ],
)
def test_labels_are_whole_numbers_or_names(tmp_path, text, wanted):
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    found = read(tmp_path, SAME["blanks"], labels=str(tmp_path / "labels.csv"))
    assert found.graphs.labels.tolist() == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5\n1 1.5\n", r"labels\.csv:1: the label '0\.5' is a measured value"),
        ("0 1\n0 2\n", r"labels\.csv:2: node 0 has the label '1' in line 1 already"),
        ("0 1\n1 x\n", r"labels\.csv:2: .*whole number as in other lines, found 'x'"),
        ("7 1\n8 0\n", "none of its nodes, such as 7, is in the edge list"),
        (",node,label\n0,0,1\n", r"labels\.csv:1: expected a node id and a label"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read(tmp_path, SAME["blanks"], labels=str(tmp_path / "labels.csv"))


def test_names_carry_their_labels(tmp_path):
    (tmp_path / "labels.csv").write_text("node,club\nn0,hi\nn5,officer\n")
    found = read(tmp_path, SAME["names"], labels=str(tmp_path / "labels.csv"))
    assert found.graphs.labels.tolist() == [0, -1, -1, -1, -1, 1]
    assert json.dumps(found.notes).count("names of columns") == 1


def test_a_dry_run_of_feasibility_reads_its_graphs():
    assert isinstance(feasibility, PlansStage)


@pytest.mark.parametrize("line", ["0 -> 3", "a -- b", "0.5 3.0", "a 1.25e3"])
def test_what_is_hardly_a_name_is_refused_unless_ids_are_text(tmp_path, line):
    path = tmp_path / "graph.txt"
    path.write_text(f"{line}\n")
    with pytest.raises(DataError, match=r"graph\.txt:1: .* is hardly a name; set ids: text if it is one"):
        read_source(GraphsConfig(path=str(path)), np.random.default_rng(0))
