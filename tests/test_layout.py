"""Every package looks like every other, and no file carries what belongs to one machine."""

import ast
import os
import re
import subprocess
import tempfile
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from workspace import ROOT, Package, find_packages

PACKAGES = find_packages()
each_package = pytest.mark.parametrize("package", [pytest.param(package, id=slug) for slug, package in PACKAGES.items()])

INDEX_OPTIONS = re.compile(r"--(extra-)?index-url[ =]\S*://|--find-links[ =]\S*/")
INDEX_HOSTS = re.compile(r"\b(pypi|test\.pypi|pythonhosted|download\.pytorch)\.org\b")
LONGEST_FILE = 600


def repository_texts() -> list[tuple[str, str]]:
    """Names and contents of the text files that are, or would be, committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    texts = []
    for name in names:
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b"\0"
        if b"\0" not in content:
            texts.append((name, content.decode("utf-8")))
    return texts


def machine_paths() -> list[str]:
    """Folders that only this machine has: the one above the checkout, the user's own, the one of local wheels."""
    folders = {str(ROOT.parent), str(Path.home()), *os.environ.get("PIP_FIND_LINKS", "").split()}
    return sorted(folder for folder in folders - {tempfile.gettempdir()} if folder.startswith("/") and len(folder) > 1)


def pyproject(package: Package) -> dict:
    return tomllib.loads((package.path / "pyproject.toml").read_text(encoding="utf-8"))


@each_package
def test_package_has_the_files_of_every_package(package: Package) -> None:
    source = package.path / "src" / package.module
    expected = [package.path / "README.md", source / "py.typed", source / "plugin.py"]
    missing = [str(path.relative_to(ROOT)) for path in expected if not path.is_file()]
    assert missing == []
    assert list(package.path.glob("tests/test_*.py")), f"{package.slug} has no tests"


@each_package
def test_package_is_named_after_its_folder_and_announces_one_plugin(package: Package) -> None:
    folder = package.path.name
    assert package.distribution == f"omnitrain-{folder}"
    assert package.module == ("omnitrain" if folder == "core" else f"omnitrain_{folder}")
    assert package.plugins == (folder,)


@each_package
def test_package_declares_ranges_and_never_a_pin_or_an_address(package: Package) -> None:
    project = pyproject(package)["project"]
    requirements = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    assert [line for line in requirements if re.search(r"==|~=|@|://", line)] == []
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "Apache-2.0"


@each_package
def test_warnings_are_errors_in_the_tests_of_the_package(package: Package) -> None:
    assert pyproject(package)["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"


@each_package
def test_package_root_holds_a_version_and_imports_nothing(package: Package) -> None:
    tree = ast.parse((package.path / "src" / package.module / "__init__.py").read_text(encoding="utf-8"))
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)] == []
    assert "__version__" in {name.id for node in tree.body if isinstance(node, ast.Assign) for name in node.targets}


@pytest.mark.parametrize("slug", [slug for slug, package in PACKAGES.items() if package.kind == "plugins"])
def test_plugin_ships_the_three_recipes(slug: str) -> None:
    described = import_module(f"{PACKAGES[slug].module}.plugin").omnitrain_plugin()
    assert {"tiny", "mini", "paper"} <= {recipe.name for recipe in described.recipes}


def test_no_source_file_is_longer_than_the_limit() -> None:
    sources = [path for package in PACKAGES.values() for path in package.path.glob("src/**/*.py")]
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in sources}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_file_names_a_package_index() -> None:
    own = str(Path(__file__).relative_to(ROOT))
    texts = [(name, text) for name, text in repository_texts() if name != own]
    assert [name for name, text in texts if INDEX_OPTIONS.search(text) or INDEX_HOSTS.search(text)] == []


def test_no_file_names_a_path_of_this_machine() -> None:
    patterns = [re.compile(rf"(?<![\w.*-]){re.escape(folder)}(?![\w-])") for folder in machine_paths()]
    found = [(name, pattern.pattern) for name, text in repository_texts() for pattern in patterns if pattern.search(text)]
    assert found == []
