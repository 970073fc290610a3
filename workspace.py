"""The packages of this repository, found by globbing; shared by bootstrap.py, noxfile.py and tests/."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints.txt"


@dataclass(frozen=True)
class Package:
    """One distribution of the repository, as its pyproject.toml declares it."""

    path: Path
    distribution: str
    requires: tuple[str, ...]
    """Distributions of this repository that it declares, by name and in its own order."""
    extras: tuple[str, ...]
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

    def requirement(self, *extras: str) -> str:
        """Its folder as pip wants it, with those of `extras` that it declares."""
        chosen = [extra for extra in extras if extra in self.extras]
        return f"{self.path}[{','.join(chosen)}]" if chosen else str(self.path)


def read_package(pyproject: Path) -> Package:
    """Read what matters here from one pyproject.toml."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    names = (re.match(r"[\w.-]+", line) for line in project.get("dependencies", []))
    return Package(
        path=pyproject.parent,
        distribution=project["name"],
        requires=tuple(name[0] for name in names if name and name[0].startswith("omnitrain-")),
        extras=tuple(project.get("optional-dependencies", {})),
        plugins=tuple(project.get("entry-points", {}).get("omnitrain.plugins", {})),
    )


def find_packages() -> dict[str, Package]:
    """All packages by slug: core first, then the shared packages, then the plugins."""
    files = [ROOT / "core/pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
    found = [read_package(file) for file in [*files, *sorted(ROOT.glob("plugins/*/pyproject.toml"))]]
    return {package.slug: package for package in found}


def with_requirements(packages: Iterable[Package]) -> list[Package]:
    """The packages and those of the repository that they need, each once, what is needed first.

    Raises KeyError when a package declares one that the repository doesn't have.
    """
    known = {package.distribution: package for package in find_packages().values()}
    ordered: dict[str, Package] = {}

    def add(package: Package) -> None:
        for name in package.requires:
            add(known[name])
        ordered.setdefault(package.distribution, package)

    for package in packages:
        add(package)
    return list(ordered.values())
