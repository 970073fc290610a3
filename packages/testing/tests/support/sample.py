"""Writes a small, good plugin as an installed folder, and spoils it in one place at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PARTS = Path(__file__).parent / "parts"
PACKAGE, INFO = "src/omnitrain_NAME", "src/omnitrain_NAME-0.1.0.dist-info"
# What the sample is written from, and where it goes.
FILES = {
    "plugin.py": f"{PACKAGE}/plugin.py",
    "configs-data.py": f"{PACKAGE}/configs/data.py",
    "configs-models.py": f"{PACKAGE}/configs/models.py",
    "configs-objectives.py": f"{PACKAGE}/configs/objectives.py",
    "configs-evaluators.py": f"{PACKAGE}/configs/evaluators.py",
    "data.py": f"{PACKAGE}/data.py",
    "models.py": f"{PACKAGE}/models.py",
    "objectives.py": f"{PACKAGE}/objectives.py",
    "evaluators.py": f"{PACKAGE}/evaluators.py",
    "paper.py": f"{PACKAGE}/paper/__init__.py",
    "measures.py": f"{PACKAGE}/evidence/measures.py",
    "parity.py": f"{PACKAGE}/evidence/parity.py",
    "tiny.yaml": f"{PACKAGE}/recipes/tiny.yaml",
    "mini.yaml": f"{PACKAGE}/recipes/mini.yaml",
    "paper.yaml": f"{PACKAGE}/recipes/paper.yaml",
    "README.md": "README.md",
    "squares.json": "tests/golden/squares.json",
    "entry_points.txt": f"{INFO}/entry_points.txt",
    "METADATA": f"{INFO}/METADATA",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. check: the check that finds it. says: part of its message. edits: (file, old, new).

    extra: a module of the package that is there besides.
    """

    check: str
    says: str
    edits: tuple[tuple[str, str, str], ...] = field(default=())
    extra: str = ""


def write_plugin(root: Path, name: str, *faults: Fault) -> Path:
    """Write the plugin `name`; return the folder for sys.path. Every text that a fault replaces must be there once."""
    texts = {file: (PARTS / f"{file}.txt").read_text(encoding="utf-8").replace("NAME", name) for file in FILES}
    for file, old, new in (edit for fault in faults for edit in fault.edits):
        old, new = old.replace("NAME", name), new.replace("NAME", name)
        assert texts[file].count(old) == 1, f"{old!r} occurs {texts[file].count(old)} times in {file}"
        texts[file] = texts[file].replace(old, new)
    for file, place in FILES.items():
        path = root / place.replace("NAME", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[file], encoding="utf-8")
    package, info = (root / place.replace("NAME", name) for place in (PACKAGE, INFO))
    (package / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (package / "py.typed").touch()
    for extra in (fault.extra for fault in faults if fault.extra):
        (package / extra).touch()
    (info / "direct_url.json").write_text(f'{{"url": "{root.as_uri()}", "dir_info": {{"editable": true}}}}')
    return root / "src"
