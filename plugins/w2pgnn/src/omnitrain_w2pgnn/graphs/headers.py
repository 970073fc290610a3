"""What the columns of an edge list are: by the names in its first line, by a recipe, or by their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from omnitrain.api import shown
from omnitrain.errors import DataError
from omnitrain_w2pgnn.graphs.faults import Faults
from omnitrain_w2pgnn.graphs.fields import measured

# Names of the two ends of an edge, in pairs, as pandas, networkx, SNAP, igraph, Gephi and OGB write them.
ENDS = (
    ("source", "target"),
    ("src", "dst"),
    ("source", "destination"),
    ("source", "dest"),
    ("from", "to"),
    ("fromnodeid", "tonodeid"),
    ("node1", "node2"),
    ("node_1", "node_2"),
    ("node 1", "node 2"),
    ("id1", "id2"),
    ("id_1", "id_2"),
    ("user1", "user2"),
    ("u", "v"),
    ("i", "j"),
    ("head", "tail"),
    ("start", "end"),
)
WEIGHTS = ("weight", "weights", "w", "edge_weight")
INDEX = ("", "unnamed: 0", "index")


@dataclass(frozen=True)
class Columns:
    """Which fields are the ends of an edge and its weight. least, most: fields of a line.

    bipartite: ids of the two columns are of different nodes. numbers: ids are whole numbers.
    """

    source: int = 0
    target: int = 1
    weight: int | None = 2
    least: int = 2
    most: int = 3
    header: bool = False
    bipartite: bool = False
    numbers: bool = True
    ids_are_set: bool = False

    @staticmethod
    def of(names: Sequence[str], header: bool) -> Columns:
        """Return the columns that a recipe names."""
        weight = names.index("weight") if "weight" in names else None
        count = len(names)
        return Columns(names.index("source"), names.index("target"), weight, count, count, header)

    def with_numbers(self, numbers: bool, is_set: bool) -> Columns:
        """Return the same columns, with ids that are numbers or names."""
        return replace(self, numbers=numbers, ids_are_set=is_set)

    def ends(self, fields: Sequence[str]) -> tuple[str, str] | None:
        """Return the two ids of a line; None where it has another number of fields."""
        return (fields[self.source], fields[self.target]) if self.least <= len(fields) <= self.most else None


def is_header(first: Sequence[str], second: Sequence[str] | None) -> bool:
    """Whether the first line names columns: by known names, as pandas names them beside an index, or text above numbers."""
    names = [name.casefold() for name in first]
    if any(a in names and b in names for a, b in ENDS if len(a) > 1):
        return True
    if second is None or len(first) != len(second):
        return False
    if names[0] in INDEX[:2] and (names[1:] == [str(i) for i in range(len(names) - 1)] or not any(map(measured, names))):
        return len(names) > 2
    above = [place for place, text in enumerate(second) if measured(text)]
    return not any(map(measured, names)) and (len(above) > 1 or any(place > 1 for place in above))


def named_columns(where: str, names: Sequence[str], keep_weights: bool, faults: Faults) -> Columns:
    """Return the columns that a header names, or the first two behind an index. Says what is taken.

    Raises DataError where four or more columns have no known name, or none has weights that are asked for.
    """
    known = [name.casefold() for name in names]
    pair = next(((known.index(a), known.index(b)) for a, b in ENDS if a in known and b in known), None)
    weight = next((known.index(name) for name in WEIGHTS if name in known), None)
    if pair is None:
        begin = 1 if known[0] in INDEX else 0
        if len(names) - begin not in (2, 3):
            raise DataError(
                f"{where}: none of the columns {shown(', '.join(names))} is known as the end of an edge; say which are with "
                "columns, such as columns: [skip, source, target, weight]."
            )
        pair = (begin, begin + 1)
        if weight is None and keep_weights and len(names) - begin == 3:
            weight = begin + 2
    if keep_weights and weight is None:
        raise DataError(
            f"{where}: none of the columns {shown(', '.join(names))} is known as a weight, which keep_weights asks for; name "
            "it weight, or set columns."
        )
    shown_weight = "" if weight is None else f", weights {names[weight]!r}"
    faults.say(f"{where}: the line names columns; edges are of {names[pair[0]]!r} and {names[pair[1]]!r}{shown_weight}")
    return Columns(*pair, weight, len(names), len(names), header=True)
