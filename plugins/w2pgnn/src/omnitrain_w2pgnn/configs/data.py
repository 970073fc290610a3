"""Settings of data. Light: imports only omnitrain.api, pydantic and other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from omnitrain.api import Config, InputPath, NotInput, UseData
from omnitrain_w2pgnn.configs.limits import Count, Share
from omnitrain_w2pgnn.configs.places import data_folders

FORMATS = Literal["auto", "embedded", "edge-list", "gin-text", "tu-folder", "metis", "planetoid", "smiles", "pyg"]
# Suffixes of files that `format: auto` takes for molecules.
MOLECULES = (".smi", ".smiles")


class GraphsConfig(Config):
    """A collection of graphs: ego networks of one big graph, or whole graphs."""

    path: InputPath = "karate"
    """Name of an embedded collection (`omnitrain info w2pgnn` lists them in the README), a file or folder, `planetoid/cora`
    for Planetoid files, or `pyg:NAME` and `pyg:NAME/SUBSET` for a dataset of torch_geometric. A file that is not there is
    also looked for in `root`."""
    root: Annotated[str, NotInput("`inputs` tells what of it is read")] | None = None
    """Folder of the data; by default $OMNITRAIN_DATA/w2pgnn, then data/w2pgnn."""
    format: FORMATS = "auto"
    """How `path` is read; auto goes by name and contents."""
    columns: list[Literal["source", "target", "weight", "skip"]] | None = Field(default=None, min_length=2)
    """What the columns of an edge list are, where the file leaves it open: [skip, source, target] for one with an index."""
    header: bool | None = None
    """Whether the first line of an edge list names columns; by default it does where it has known names, or text above
    numbers."""
    ids: Literal["numbers", "text"] | None = None
    """Whether ids of an edge list are whole numbers or names; by default as in its first edge."""
    labels: InputPath | None = None
    """File of "node label" lines beside an edge list, or `degree-quartiles`."""
    samples: Literal["auto", "egos", "graphs"] = "auto"
    """What one sample is: an ego network of each seed node, or a whole graph. auto: egos where there is one graph."""
    hops: Count = 2
    """Steps from the seed to the rim of its ego network. Code: 2."""
    seed_share: Share | None = 0.001
    """Share of the nodes that are seeds. Code: 0.001 for pre-training, null, every node, downstream."""
    minimum_seeds: Annotated[int, Field(ge=0)] = 40
    """At least so many seeds, where there are as many nodes; 0.1 % of a small network is none."""
    maximum_seeds: Count | None = None
    """At most so many seeds."""
    max_ego_nodes: Count | None = 1000
    """Larger ego networks are left out. Code: 1000 for pre-training, no limit downstream."""
    max_graphs: Count | None = None
    """At most so many whole graphs, drawn evenly over the collection."""
    keep_weights: bool = False
    """Take the third column of an edge list as weights; by default graphs are 0/1."""
    malformed: Literal["refuse", "skip"] = "refuse"
    """Whether a malformed line ends the reading or is counted and left out."""
    scaffold_parts: Count = 5
    """Domains that the scaffolds of molecules are grouped into. Code: 5."""
    positions: Annotated[int, Field(ge=0, le=512)] = 32
    """Laplacian eigenvectors of each node in a batch. Code: 32."""

    def inputs(self) -> list[Path]:
        """Return what is read from the folder of the data."""
        names = [self.path.partition("/")[0] if self.path.startswith("planetoid/") else self.path, self.labels]
        places = [(Path(name), *(folder / name for folder in data_folders(self.root))) for name in names if name is not None]
        found = [next((place for place in tried if place.exists()), None) for tried in places]
        return [place for place in found if place is not None]

    def needs(self) -> dict[str, str]:
        """Return what installs the libraries that these values need; see omnitrain.api.TellsNeeds."""
        named = self.format == "auto" and self.path.endswith(MOLECULES)
        return {"rdkit": "omnitrain-w2pgnn[molecules]"} if named or self.format == "smiles" else {}

    @field_validator("columns")
    @classmethod
    def _an_edge(cls, columns: list[str] | None) -> list[str] | None:
        counts = [0 if columns is None else columns.count(name) for name in ("source", "target", "weight")]
        if columns is not None and (counts[:2] != [1, 1] or counts[2] > 1):
            raise ValueError("expected source and target once, weight at most once, and skip for other columns")
        return columns


class SavedConfig(Config):
    """Graphs that an earlier stage saved, such as those that `w2pgnn/select` chose."""

    path: InputPath
    """The artifact's folder; filled in by `{from: stage}`."""
    positions: Annotated[int, Field(ge=0, le=512)] = 32
    """Laplacian eigenvectors of each node in a batch. Code: 32."""


class ViewsConfig(Config):
    """What all pre-training data share."""

    graphs: UseData
    """The graphs to pre-train on: w2pgnn/graphs, {from: select}, or data of another plugin that yields graphs."""
    positions: Annotated[int, Field(ge=0, le=512)] = 32
    """Laplacian eigenvectors of each node. Code: 32."""
    valid_batches: Count = 4
    """Batches of the split `valid`, drawn once with seeds of their own."""


class WalksConfig(ViewsConfig):
    """GCC: two subgraphs of random walks with restart around the same node are a pair."""

    restart: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Chance to go back to the seed after each step. Code: 0.8."""
    visits: Count = 256
    """Fewest nodes that a walk visits, repetitions included; nodes of high degree walk longer. Code: 256."""
    degree_power: Annotated[float, Field(ge=0)] = 0.75
    """Seeds are drawn in proportion to degree to this power, and so grows the length of walks. Code: 0.75."""
    max_visits: Count | None = None
    """Most nodes that a walk visits; no limit in the code."""


class SubgraphsConfig(ViewsConfig):
    """What pre-training data on the samples share."""

    visits: Count | None = None
    """Take random-walk subgraphs of so many visits around nodes in place of the samples: ego networks of dense graphs
    hold most of their nodes."""
    restart: Annotated[float, Field(gt=0, le=1)] = 0.8
    """With visits: chance to go back to the seed after each step."""


class AugmentationsConfig(SubgraphsConfig):
    """GraphCL: two random augmentations of the same graph are a pair."""

    share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of nodes, edges or attributes that an augmentation takes away or changes. Paper of GraphCL: 0.2."""
    kinds: list[Literal["nodes", "edges", "attributes", "subgraph"]] = Field(
        default=["nodes", "edges", "attributes", "subgraph"], min_length=1
    )
    """Augmentations that are drawn from, one for each view."""


class MaskedConfig(SubgraphsConfig):
    """Attribute and edge masking: hidden nodes and edges are to be told from the rest."""

    node_share: Share = 0.15
    """Share of the nodes whose features are hidden."""
    edge_share: Share = 0.15
    """Share of the edges that are hidden, each beside a pair of nodes without an edge."""
    classes: Count = 16
    """Classes of hidden nodes: attributes where the graphs have them, else the logarithm of the degree."""
