"""What is uploaded: wheels and source archives of all packages. OMNITRAIN_DIST: slug=folder of each, from `nox -s dist`."""

from __future__ import annotations

import email
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from workspace import find_packages  # noqa: E402

PACKAGES = find_packages()
FOLDERS = {slug: Path(path) for slug, path in (item.split("=", 1) for item in os.environ["OMNITRAIN_DIST"].split(os.pathsep))}


@pytest.fixture(params=list(PACKAGES))
def package(request):
    return PACKAGES[request.param]


def wheel(slug: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(FOLDERS[slug].glob("*.whl")))


def metadata(slug: str) -> email.message.Message:
    with wheel(slug) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def sources(package) -> dict[str, Path]:
    """Files of the package by their place in a wheel."""
    root = package.path / "src"
    return {str(f.relative_to(root)): f for f in root.rglob("*") if f.is_file() and "__pycache__" not in f.parts}


def test_wheel_holds_every_source_file_as_it_is_in_the_tree_and_nothing_else(package):
    with wheel(package.slug) as archive:
        found = {n: archive.read(n) for n in archive.namelist() if ".dist-info/" not in n}
    assert found == {name: file.read_bytes() for name, file in sources(package).items()}


def test_archive_holds_sources_tests_and_readme(package):
    with tarfile.open(next(FOLDERS[package.slug].glob("*.tar.gz"))) as archive:
        names = {n.partition("/")[2] for n in archive.getnames()}
    tests = {str(f.relative_to(package.path)) for f in (package.path / "tests").glob("test_*.py")}
    assert {f"src/{name}" for name in sources(package)} | tests | {"README.md", "pyproject.toml"} <= names


def test_metadata_says_what_the_index_shows(package):
    found = metadata(package.slug)
    assert found["Name"] == package.distribution
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Summary"]
    assert found.get_payload().startswith("# ")


def test_all_versions_are_one_and_allow_each_other():
    versions = {slug: metadata(slug)["Version"] for slug in PACKAGES}
    assert len(set(versions.values())) == 1, versions
    wanted = [Requirement(line) for slug in PACKAGES for line in metadata(slug).get_all("Requires-Dist", [])]
    ours = {p.distribution: versions[slug] for slug, p in PACKAGES.items()}
    refused = [str(r) for r in wanted if r.name in ours and not r.specifier.contains(ours[r.name], prereleases=True)]
    assert refused == []
    assert all(r.name in ours for r in wanted if r.name.startswith("omnitrain-"))
