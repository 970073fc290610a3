"""Writes a small, good plugin as an installed folder, and spoils it in one place at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PARTS = Path(__file__).parent / "parts"
FILES = {
    "plugin.py": "package",
    "configs.py": "package",
    "parts.py": "package",
    "evidence.py": "package",
    "tiny.yaml": "package",
    "mini.yaml": "package",
    "paper.yaml": "package",
    "README.md": "root",
    "squares.json": "golden",
    "entry_points.txt": "info",
    "METADATA": "info",
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong. check: the check that finds it. says: part of its message. edits: (file, old, new)."""

    check: str
    says: str
    edits: tuple[tuple[str, str, str], ...] = field(default=())


def write_plugin(root: Path, name: str, fault: Fault | None = None) -> Path:
    """Write the plugin `name`; return the folder for sys.path. Every text that a fault replaces must be there once."""
    texts = {file: (PARTS / f"{file}.txt").read_text(encoding="utf-8").replace("NAME", name) for file in FILES}
    for file, old, new in fault.edits if fault is not None else ():
        old, new = old.replace("NAME", name), new.replace("NAME", name)
        assert texts[file].count(old) == 1, f"{old!r} occurs {texts[file].count(old)} times in {file}"
        texts[file] = texts[file].replace(old, new)
    source = root / "src"
    module, info = source / f"omnitrain_{name}", source / f"omnitrain_{name}-0.1.0.dist-info"
    folders = {"package": module, "root": root, "golden": root / "tests/golden", "info": info}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for file, place in FILES.items():
        (folders[place] / file).write_text(texts[file], encoding="utf-8")
    (module / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (module / "py.typed").touch()
    (info / "direct_url.json").write_text(f'{{"url": "{root.as_uri()}", "dir_info": {{"editable": true}}}}')
    return source
