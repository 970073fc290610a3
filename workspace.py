"""The packages of this repository, found by globbing; shared by bootstrap.py, noxfile.py and tests/."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints.txt"
TESTED_EXTRAS = ("torch", "test")
"""What a package's tests need beside the package, as far as it declares them."""


@dataclass(frozen=True)
class Package:
    """One distribution of the repository, as its pyproject.toml declares it."""

    path: Path
    distribution: str
    requires: tuple[str, ...]
    """Distributions of this repository that it declares."""
    extras: dict[str, tuple[str, ...]]
    """Names of its extras, each with the distributions of this repository that it adds."""
    plugins: tuple[str, ...]
    """Names under the entry point group omnitrain.plugins."""

    @property
    def slug(self) -> str:
        """Short name: the distribution's without "omnitrain-"."""
        return self.distribution.removeprefix("omnitrain-")

    @property
    def kind(self) -> str:
        """ "core", "packages" or "plugins": the folder that decides what may import what."""
        return self.path.relative_to(ROOT).parts[0]

    @property
    def module(self) -> str:
        """Name under which it is imported."""
        return next(init.parent.name for init in sorted(self.path.glob("src/*/__init__.py")))

    @property
    def tested_extras(self) -> str:
        """Those of TESTED_EXTRAS that it declares, in brackets as pip wants them; empty when there are none."""
        declared = [extra for extra in TESTED_EXTRAS if extra in self.extras]
        return f"[{','.join(declared)}]" if declared else ""


def read_package(pyproject: Path) -> Package:
    """Read what matters here from one pyproject.toml."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    return Package(
        path=pyproject.parent,
        distribution=project["name"],
        requires=_ours(project.get("dependencies", [])),
        extras={name: _ours(lines) for name, lines in project.get("optional-dependencies", {}).items()},
        plugins=tuple(project.get("entry-points", {}).get("omnitrain.plugins", {})),
    )


def _ours(requirements: list[str]) -> tuple[str, ...]:
    """Names of the distributions of this repository among requirements."""
    names = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return tuple(name[0] for name in names if name and name[0].startswith("omnitrain-"))


def find_packages() -> dict[str, Package]:
    """All packages by slug: core first, then the shared packages, then the plugins."""
    files = [ROOT / "core/pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
    found = [read_package(file) for file in [*files, *sorted(ROOT.glob("plugins/*/pyproject.toml"))]]
    return {package.slug: package for package in found}


def with_requirements(packages: Iterable[Package]) -> list[Package]:
    """The packages and those of the repository that they and their tests need, each once.

    Raises KeyError when a package declares one that the repository doesn't have.
    """
    known = {package.distribution: package for package in find_packages().values()}
    found: dict[str, Package] = {}
    waiting = list(packages)
    names = [name for package in waiting for extra in TESTED_EXTRAS for name in package.extras.get(extra, ())]
    waiting += [known[name] for name in names]
    while waiting:
        package = waiting.pop(0)
        if package.distribution not in found:
            found[package.distribution] = package
            waiting += [known[name] for name in package.requires]
    return list(found.values())


def editable(packages: Iterable[Package]) -> list[str]:
    """Arguments that let pip install the packages, with what their tests need, from their folders."""
    named = list(packages)
    needed = with_requirements(named)
    return [part for p in needed for part in ("--editable", f"{p.path}{p.tested_extras if p in named else ''}")]


def built(package: Package, folder: Path) -> Path:
    """Return the folder with the package's wheel and source archive below `folder`, built unless its sources are as before.

    The wheel is built from the archive, as for an upload. Raises FileNotFoundError without uv,
    subprocess.CalledProcessError when that fails.
    """
    digest = hashlib.sha256()
    for file in sorted(p for p in package.path.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        if not any(part in (".pytest_cache", ".hypothesis", "dist", "build") for part in file.parts):
            digest.update(f"{file.relative_to(package.path)} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    target = folder / f"{package.slug}-{digest.hexdigest()[:16]}"
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as name:
        uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
        if uv is None:
            raise FileNotFoundError("uv, which builds the packages, is missing; 'pip install uv' brings it")
        output = Path(name, "built")
        options = ["--quiet", "--build-constraint", str(CONSTRAINTS), "--out-dir", str(output)]
        subprocess.run([uv, "build", *options, str(package.path)], check=True)
        (output / ".gitignore").unlink(missing_ok=True)
        try:
            output.rename(target)
        except OSError:  # another session built the same in the meantime
            if not target.is_dir():
                raise
    return target
