"""The layout that all plugins share, so that an address is a path."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from omnitrain.api.references import FOLDERS

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

MOST_LINES = 60
MOST_OWN_FOLDERS = 2
LAYERS = ("configs", "paper", *FOLDERS.values(), "evidence", "recipes")
_GUIDED = re.compile(r"(?<![\w.:/])\.{0,2}((?:[a-z_]\w*\.)*[a-z_]\w*):([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?")


def addresses(examination: Examination) -> Iterator[str]:
    """A component is built in the module or folder of its kind, and its settings are in that of configs."""
    package = examination.plugin.package
    for component in examination.plugin.components:
        what = f"The {component.kind} {examination.plugin.name}/{component.name}"
        place = f"{package}.{FOLDERS[component.kind]}"
        module = component.build.partition(":")[0]
        if module != place and not re.fullmatch(rf"{re.escape(place)}\.\w+", module):
            word = component.name.replace("-", "_")
            yield f"{what} is built in {module}: build it in {place}.{word}, or in {place} where that is one module."
        settings = f"{package}.configs.{FOLDERS[component.kind]}"
        if component.config.partition(":")[0] != settings:
            yield f"{what} has its settings in {component.config}: put the class into {settings}."


def folders(examination: Examination) -> Iterator[str]:
    """Modules lie in the folders that all plugins share, and in at most two of the plugin's own."""
    root = examination.package
    if root is None:
        return
    commands = {command.run.partition(":")[0].rpartition(".")[2] for command in examination.plugin.commands}
    allowed = {"__init__", "plugin", *FOLDERS.values(), *commands}
    for file in sorted(root.glob("*.py")):
        if file.stem not in allowed:
            yield (
                f"{file.name} lies beside plugin.py: move it into paper, evidence, the folder of a kind "
                f"({', '.join(FOLDERS.values())}), or one that is named after the plugin's own matter."
            )
    own = sorted(entry.name for entry in root.iterdir() if entry.name not in LAYERS and any(entry.rglob("*.py")))
    if len(own) > MOST_OWN_FOLDERS:
        yield f"It has {len(own)} folders of its own ({', '.join(own)}): at most {MOST_OWN_FOLDERS}, for its own matter."


def description(examination: Examination) -> Iterator[str]:
    """plugin.py is short: what follows the layout needs no references."""
    path = examination.package / "plugin.py" if examination.package is not None else None
    if path is None or not path.is_file():
        return
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines >= MOST_LINES:
        yield (
            f"plugin.py has {lines} lines, expected fewer than {MOST_LINES}: leave out references that follow "
            "the layout, name kinds of one module in Plugin.modules, and keep claims in evidence/claims.py."
        )


def evidence(examination: Examination) -> Iterator[str]:
    """What claims measure, golden vectors and benches lie in evidence/."""
    plugin = examination.plugin
    found = [(f"claim {claim.id}", claim.measure, "measures") for claim in plugin.claims]
    found += [("parity", plugin.parity, "parity")] if plugin.parity else []
    found += [("bench", plugin.bench, "bench")] if plugin.bench else []
    for what, reference, word in found:
        place = f"{plugin.package}.evidence.{word}"
        if not re.match(rf"{re.escape(place)}[.:]", reference):
            yield f"What {what} names, {reference}, is not in {place}: move it there."


def reading_guide(examination: Examination) -> Iterator[str]:
    """The docstring of paper/ says which section is where, and each place is there."""
    root = examination.package
    path = root / "paper" / "__init__.py" if root is not None else None
    if root is None or path is None or not path.is_file():
        yield "It has no folder paper: put the paper's equations there, as pure functions under the paper's names."
        return
    guide = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    named = [found for found in _GUIDED.finditer(guide) if found[0] != "module:function"]  # the heading of the list
    if not named or "section" not in guide.lower():
        yield (
            "The docstring of paper/__init__.py is no reading guide: say for each section of the paper where it is, as "
            "'- 3.2, the loss -> `losses:loss`', and where the algorithm box is."
        )
    for place in named:
        module, name, member = place.groups()
        if not any(_defines(file, name, member) for file in _files(root, module)):
            yield f"The reading guide names {place[0]!r}, which is not there: name a module, a colon and what it defines."


def _files(root: Path, module: str) -> Iterator[Path]:
    """Yield the files that a module of the guide may be: its name may leave out the folders above it.

    A name that begins with another package is of a shared one, which holds what several papers have in common.
    """
    first, _, rest = module.partition(".")
    shared = find_spec(first) if rest and first.startswith("omnitrain_") and first != root.name else None
    if shared is not None and shared.submodule_search_locations:
        root, module = Path(shared.submodule_search_locations[0]), rest
    inside = module.removeprefix(f"{root.name}.").replace(".", "/")
    for pattern in (f"{inside}.py", f"{inside}/__init__.py"):
        yield from root.rglob(pattern)


def _defines(file: Path, name: str, member: str | None) -> bool:
    """Whether a module has a top-level name, and that a member, told from its text alone."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if name in _names(node):
            if member is None or not isinstance(node, ast.ClassDef) or node.bases:
                return True
            return any(member in _names(inner) for inner in node.body)
    return False


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
