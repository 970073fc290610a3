"""Read YAML safely, with the line of every value, and without YAML's traps."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from omnitrain.errors import UsageError

Path_ = tuple[str | int, ...]

NODE_LIMIT = 20_000
BYTE_LIMIT = 1_000_000
DEEPEST = 50

_INT = re.compile(r"^[-+]?(0|[1-9][0-9_]*)$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9][0-9_]*|[0-9][0-9_]*\.[0-9_]*|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?$")
_LINE_END = re.compile("\r\n?|\n")
# What YAML takes for the end of a line, and no editor does.
_YAML_LINE_END = re.compile("[\x85\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
_CORE_TAGS = {f"tag:yaml.org,2002:{t}" for t in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value")}


@dataclass(frozen=True)
class Origin:
    """Where a value was written: a file with a line, the command line, or a default."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Document:
    """Plain values and, for the path of every value, its origin."""

    value: Any
    origins: Mapping[Path_, Origin]


def scalar(text: str) -> Any:
    """Turn the text of a plain scalar into a value: 1e-4 is a number; on, off, yes, no, 010 and dates are text."""
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if lowered in ("", "~", "null"):
        return None
    if lowered in _SPECIAL:
        return _SPECIAL[lowered]
    if _INT.match(text) and len(text) < 400:
        return int(text.replace("_", ""))
    if _FLOAT.match(text):
        return float(text.replace("_", ""))
    return text


class _Reader:
    """Turns composed nodes into plain values, counting them so that an alias bomb is refused."""

    def __init__(self, text: str, source: str, first_line: int) -> None:
        self.source = source
        self.first_line = first_line
        self.uncounted = [found.start() for found in _YAML_LINE_END.finditer(text)]
        self.origins: dict[Path_, Origin] = {}
        self.count = 0

    def fail(self, node: yaml.Node, message: str) -> UsageError:
        return UsageError(f"{self.at(node)}: {message}")

    def at(self, node: yaml.Node | yaml.Event) -> Origin:
        mark: Any = node.start_mark  # the stubs allow None, which nothing that is parsed has
        return Origin(self.source, self.line(mark))

    def line(self, mark: yaml.Mark) -> int:
        """Return the line of a place as editors count it."""
        return int(mark.line) - bisect_left(self.uncounted, mark.index) + self.first_line

    def check_bounds(self, text: str) -> None:
        """Refuse what is too large or too deep before anything of it is kept."""
        count = depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            count += isinstance(event, yaml.NodeEvent)
            if depth > DEEPEST + 1:
                raise UsageError(f"{self.at(event)}: nested more than {DEEPEST} levels deep; a recipe needs a handful.")
            if count > NODE_LIMIT:
                raise UsageError(f"{self.at(event)}: more than {NODE_LIMIT} values; a recipe needs some hundreds.")

    def check_text(self, node: yaml.ScalarNode) -> None:
        if _SURROGATE.search(node.value):
            raise self.fail(node, "half of a surrogate pair, which is no character and can't be saved as UTF-8.")

    def read(self, node: yaml.Node, path: Path_) -> Any:
        self.count += 1
        if self.count > NODE_LIMIT:
            raise self.fail(node, f"more than {NODE_LIMIT} values after expanding aliases; write the recipe without them.")
        if len(path) > DEEPEST:
            raise self.fail(node, f"nested more than {DEEPEST} levels deep; a recipe needs a handful.")
        if node.tag not in _CORE_TAGS:
            raise self.fail(node, f"tag {node.tag!r} is not allowed; recipes hold plain values only.")
        self.origins[path] = self.at(node)
        if isinstance(node, yaml.ScalarNode):
            self.check_text(node)
            return scalar(node.value) if node.style is None else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, i)) for i, child in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self.read_mapping(node, path)

    def read_mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fail(key_node, "a key must be a plain word.")
            self.check_text(key_node)
            key = key_node.value
            if key in out:
                raise self.fail(
                    key_node, f"key {key!r} is written twice; the first is in line {self.origins[(*path, key)].line}."
                )
            out[key] = self.read(value_node, (*path, key))
            self.origins[(*path, key)] = self.at(key_node)
        return out


def read_text(text: str, source: str, first_line: int = 1) -> Document:
    """Read one YAML document.

    Raises UsageError with file and line for anything that is not plain, well-formed YAML.
    """
    text = text.removeprefix("\ufeff")
    reader = _Reader(text, source, first_line)
    try:
        reader.check_bounds(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return Document(None, {(): Origin(source, first_line)})
        return Document(reader.read(node, ()), reader.origins)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{reader.line(mark)}" if mark else ""
        raise UsageError(f"{source}{line}: not valid YAML: {error.problem or error.context}.") from error
    except yaml.reader.ReaderError as error:
        number = len(_LINE_END.findall(text[: error.position])) + first_line
        raise UsageError(
            f"{source}:{number}: not valid YAML: the character {chr(error.character)!r} is not allowed."
        ) from error
    except RecursionError as error:
        raise UsageError(f"{source}: nested too deep; a recipe needs a handful of levels.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{source}: not valid YAML: {' '.join(str(error).split())}.") from error


def read_file(path: Path, source: str | None = None) -> Document:
    """Read a YAML file. source: what messages and lock files call it instead of its path.

    Raises UsageError when it is missing, unreadable, too large, not UTF-8 or not plain YAML.
    """
    name = source or str(path)
    try:
        if path.stat().st_size > BYTE_LIMIT:
            raise UsageError(f"{path}: larger than {BYTE_LIMIT // 1_000_000} MB; that is not a recipe.")
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file.") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path}: is a folder; expected a recipe file.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}:{line}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from error
    except OSError as error:
        raise UsageError(f"{path}: can't be read: {error.strerror}.") from error
    return read_text(text, name)


def read_value(text: str, source: str) -> Any:
    """Read the value of an override such as "50", "1e-4", "[1, 2]" or "{use: ul2/denoising}"."""
    return read_text(text, source).value if text.strip() else ""
