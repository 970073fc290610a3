"""Checks of this repository, each in an environment of its own: `nox -l` lists them, `nox -s ul2` runs one.

`nox` alone runs `check`: every other session, as many side by side as there are cores. Packages are found by globbing; a new
folder under packages/ or plugins/ gets its sessions without a line here.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from workspace import CONSTRAINTS, Package, built, editable, find_packages, with_requirements  # noqa: E402

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["check"]

PACKAGES = find_packages()
REPORTS = ROOT / ".nox" / "reports"
BUILT = ROOT / ".nox" / "built"
TOOLS = ("deptry", "import-linter", "mypy", "nox[uv]", "pytest", "ruff", "types-PyYAML")
# The tests across packages install a plugin themselves, without a network: these are the installer and the build backends.
INSTALLERS = ("editables", "hatchling", "pip", "setuptools")
SITE_TOOLS = ("mkdocs", "mkdocs-material")
PINNED = ("--constraint", str(CONSTRAINTS))
PUBLIC_CORE = {"api", "engine", "errors"}
# The contract kit runs in the package's own session; of the lowest versions the other tests tell.
WITHOUT_CONTRACT = ("--ignore=tests/test_contract.py",)
# How many processes share out the tests of one session; `check` gives each session that it runs one.
PROCESSES = os.environ.get("OMNITRAIN_TEST_PROCESSES", "auto")
# The contract kit examines the core itself, so it may import all of it.
EXAMINER = "omnitrain_testing"
# The floors of a plugin, from the roof down: what is in one imports those below. `paper` stands for it and for the folders of
# the plugin's own, whose order differs.
FLOORS = ("plugin", "evidence", "stages", "evaluators", "objectives", "models", "data", "paper", "configs")

# Bytecode is compiled at the first import and then reused; without it imports take 2.6 times as long.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# The models of the tests are too small for more threads, and with one a sum keeps its order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A test that asks a hub fails at once instead of waiting for it.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests of real files look here and are skipped where it is absent; it lies beside a checkout, and tests run elsewhere.
os.environ.setdefault("OMNITRAIN_TEST_DATA", str(ROOT.parent / "shared" / "data"))
if "PIP_FIND_LINKS" in os.environ:
    # uv doesn't read pip's variables; pip separates by spaces, uv by commas.
    os.environ.setdefault("UV_FIND_LINKS", ",".join(os.environ["PIP_FIND_LINKS"].split()))


def install_packages(session: nox.Session, *packages: Package, options: tuple[str, ...] = PINNED) -> None:
    """Install packages and what they and their tests need, those of the repository editable."""
    session.install(*options, *editable(packages))


def python_json(session: nox.Session, *arguments: str) -> list:
    """Run a command of the session's environment and parse what it prints."""
    return json.loads(session.run(*arguments, silent=True, stderr=subprocess.DEVNULL))


def installed(session: nox.Session) -> dict[str, str]:
    """Versions of all installed distributions by their names in lower case with hyphens."""
    code = "import importlib.metadata as m, json; print(json.dumps([(d.name, d.version) for d in m.distributions()]))"
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in python_json(session, "python", "-c", code)}


def assert_isolated(session: nox.Session, package: Package) -> None:
    """Fail unless of this repository exactly the package and what it declares are installed, each plugin healthy."""
    expected = with_requirements([package])
    declared = sorted(other.distribution for other in expected)
    found = sorted(name for name in installed(session) if name.startswith("omnitrain-"))
    if found != declared:
        session.error(f"installed are {found}, but {package.distribution} declares {declared}")
    states = {plugin["name"]: plugin["status"] for plugin in python_json(session, "omnitrain", "plugins", "--json")}
    if states != {name: "ok" for other in expected for name in other.plugins}:
        session.error(f"not every plugin of {declared} is healthy and alone: {states}")


def run_tests(session: nox.Session, folder: Path, *arguments: str, name: str = "") -> None:
    """Run the tests below `folder`; .ci/summary.py sums up the reports. name: of the report, by default the session's.

    pyproject.toml or pytest.ini in `folder` configures them. Hypothesis draws the same each time and sets no time limit
    to an example; plain `pytest` there draws anew. The checks of one contract stay in one process, since they share runs.
    """
    session.install(*PINNED, "pytest-xdist")
    report = REPORTS / f"{re.sub(r'[^a-z0-9]+', '-', name or session.name).strip('-')}.xml"
    shared_out = () if PROCESSES == "1" else (f"--numprocesses={PROCESSES}", "--dist=loadgroup")
    with session.chdir(folder):
        options = (*shared_out, "--hypothesis-profile=ci", f"--junitxml={report}")
        session.run("pytest", *options, *arguments, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, the import rules and that each package declares what it imports."""
    install_packages(session, *PACKAGES.values())
    session.install(*PINNED, *TOOLS)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    rules = Path(session.create_tmp()).resolve() / "importlinter.ini"
    write_import_rules(rules)
    session.run("lint-imports", "--config", str(rules), "--no-cache")
    modules = ",".join(["mlflow-skinny=mlflow", *(f"{p.distribution}={p.module}" for p in PACKAGES.values())])
    for package in PACKAGES.values():
        with session.chdir(package.path):
            session.run("deptry", "src", "--optional-dependencies-dev-groups", "test", "--package-module-name-map", modules)


def write_import_rules(target: Path) -> None:
    """Write .importlinter with the rules between the packages that were found."""
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter")
    modules = {kind: [p.module for p in PACKAGES.values() if p.kind == kind] for kind in ("packages", "plugins")}
    others = modules["packages"] + modules["plugins"]
    rules["importlinter"]["root_packages"] = "\n".join(["omnitrain", *others])

    def forbid(key: str, name: str, sources: list[str], forbidden: list[str], **options: str) -> None:
        if sources and forbidden:
            lists = {"source_modules": "\n".join(sources), "forbidden_modules": "\n".join(forbidden)}
            rules[f"importlinter:contract:{key}"] = {"name": name, "type": "forbidden", **lists, **options}

    forbid("core", "The core imports no package and no plugin", ["omnitrain"], others)
    forbid("packages", "Shared packages import no plugin", modules["packages"], modules["plugins"])
    for kind, members in modules.items():
        contract = {"name": f"Nothing in {kind}/ imports its neighbour", "type": "independence", "modules": "\n".join(members)}
        if len(members) > 1:
            rules[f"importlinter:contract:{kind}-apart"] = contract
    core = PACKAGES["core"]
    top = {
        path.stem for path in (core.path / "src/omnitrain").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    closed = [f"omnitrain.{name}" for name in sorted(top - PUBLIC_CORE - {"__init__"})]
    users_of_core = [module for module in others if module != EXAMINER]
    forbid("public", "Of the core only its public modules are imported", users_of_core, closed, allow_indirect_imports="True")
    for package in PACKAGES.values():
        users = [other for other in others if other != package.module]
        forbid(
            f"private-{package.slug}",
            f"Private modules of {package.slug} stay its own",
            users,
            private_modules(package),
            allow_indirect_imports="True",
        )
    for package in PACKAGES.values():
        if package.module in others and package.module != EXAMINER:
            rules.read_dict(floors(package))
    rules["importlinter:contract:circles"] = {
        "name": "No modules import each other in a circle",
        "type": "acyclic_siblings",
        "ancestors": "\n".join(["omnitrain", *others]),
    }
    with target.open("w", encoding="utf-8") as file:
        rules.write(file)


def floors(package: Package) -> dict[str, dict[str, str]]:
    """Rules that imports of a package go from its upper floors to its lower ones, and what its description may import."""
    root = package.path / "src" / package.module
    entries = sorted(path.name for path in root.iterdir() if path.is_dir() and any(path.rglob("*.py")))
    own = [name for name in entries if name not in (*FLOORS, "recipes")] if package.kind == "plugins" else []
    present = {*entries, *(path.stem for path in root.glob("*.py"))}
    stack = [" : ".join(["paper", *own]) if name == "paper" else name for name in FLOORS if name in present]
    evidence = [f"evidence.{path.stem}" for path in (root / "evidence").glob("*.py") if path.stem not in ("__init__", "claims")]
    heavy = sorted(present & set(FLOORS) - {"plugin", "evidence"}) + sorted(evidence)
    return {
        f"importlinter:contract:floors-{package.slug}": {
            "name": f"Floors of {package.slug}",
            "type": "layers",
            "containers": package.module,
            "layers": "\n".join(stack),
        },
        f"importlinter:contract:description-{package.slug}": {
            "name": f"The description of {package.slug} imports its claims only",
            "type": "forbidden",
            "source_modules": f"{package.module}.plugin",
            "forbidden_modules": "\n".join(f"{package.module}.{name}" for name in heavy),
            "allow_indirect_imports": "True",
        },
    }


def private_modules(package: Package) -> list[str]:
    """Names of the package's modules that begin with one underscore."""
    source = package.path / "src"
    files = [path.relative_to(source).with_suffix("") for path in source.rglob("*.py")]
    return sorted(".".join(file.parts) for file in files if file.name.startswith("_") and not file.name.startswith("__"))


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all packages."""
    install_packages(session, *PACKAGES.values())
    session.install(*PINNED, *TOOLS)
    session.run("mypy", *(part for package in PACKAGES.values() for part in ("--package", package.module)))


def add_package_session(package: Package) -> None:
    """Give a package the session of its name."""

    def alone(session: nox.Session) -> None:
        requirements = []
        for needed in with_requirements([package]):
            extras = needed.tested_extras if needed == package else ""
            requirements.append(f"{needed.distribution}{extras} @ {wheel_of(needed).as_uri()}")
        session.install(*PINNED, *requirements)
        assert_isolated(session, package)
        with tempfile.TemporaryDirectory(prefix="omnitrain-") as name:
            folder = Path(name)
            shutil.copytree(package.path / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(package.path / "pyproject.toml", folder)
            run_tests(session, folder)

    alone.__doc__ = f"Test the wheel of {package.distribution} outside the tree, with nothing installed but what it declares."
    nox.session(alone, name=package.slug, tags=["packages"])


for _package in PACKAGES.values():
    add_package_session(_package)


def wheel_of(package: Package) -> Path:
    """Return the package's wheel, built unless the sources are as they were at the last time."""
    return next(built(package, BUILT).glob("*.whl"))


@nox.session
def dist(session: nox.Session) -> None:
    """Build and check the wheels and source archives of all packages: whole, of one version, the same from tree and archive."""
    session.install(*PINNED, "pytest", "packaging")
    folders = [f"{package.slug}={built(package, BUILT)}" for package in PACKAGES.values()]
    report = REPORTS / "dist.xml"
    session.run("pytest", "-q", f"--junitxml={report}", ".ci/test_dist.py", env={"OMNITRAIN_DIST": os.pathsep.join(folders)})


@nox.session
def lowest(session: nox.Session) -> None:
    """Test all packages with the lowest versions of their direct dependencies, torch excepted, in one environment.

    After `--`, packages by name. Where packages allow different lowest versions of one dependency, the highest of them is
    tested.
    """
    if session.venv_backend != "uv":
        session.error("only uv resolves to lowest versions; install it with `pip install uv`")
    chosen = [PACKAGES[name] for name in session.posargs] or list(PACKAGES.values())
    # torch stays at the constraint's version, installed first: among equal versions the lowest resolution would
    # leave a local build ("2.13.0+cpu") for the index's several times larger one.
    torch = next(line.split()[0] for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    session.install("--no-deps", torch)
    install_packages(session, *PACKAGES.values(), options=("--resolution", "lowest-direct"))
    session.posargs.clear()
    failed = []
    for package in chosen:
        try:
            run_tests(session, package.path, *WITHOUT_CONTRACT, name=f"lowest-{package.slug}")
        except nox.command.CommandFailed:
            failed.append(package.slug)
    if failed:
        session.error(f"with the lowest versions these fail: {', '.join(failed)}")


@nox.session
def tests(session: nox.Session) -> None:
    """Test what needs several packages, with all of them installed."""
    install_packages(session, *PACKAGES.values())
    session.install(*PINNED, *INSTALLERS)
    run_tests(session, ROOT / "tests")


@nox.session
def third_party(session: nox.Session) -> None:
    """Test what `omnitrain new-plugin` writes as a stranger's package: every kind, or those after `--`."""
    install_packages(session, PACKAGES["testing"])
    kinds = python_json(session, "python", "-c", "import json, omnitrain.api.descriptors as d; print(json.dumps(d.KINDS))")
    chosen = session.posargs or kinds
    folder = Path(session.create_tmp()).resolve()
    for kind in chosen:
        name, package = f"new-{kind}", folder / f"omnitrain-new-{kind}"
        shutil.rmtree(package, ignore_errors=True)
        session.run("omnitrain", "new-plugin", name, "--kind", kind, "--dir", str(package))
        session.install(*PINNED, "--editable", f"{package}[test]")
        session.run("omnitrain", "check", name)
        with session.chdir(package):
            # The command above was the contract.
            report = REPORTS / f"third-party-{kind}.xml"
            session.run("pytest", f"--junitxml={report}", "--ignore", "tests/test_contract.py")
            session.run("omnitrain", "run", f"{name}/tiny", "--out", "runs/tiny", "--quiet")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site of docs/ into build/site; a warning fails it."""
    install_packages(session, *PACKAGES.values())
    session.install(*PINNED, *SITE_TOOLS)
    session.run("mkdocs", "build", "--quiet", env={"NO_MKDOCS_2_WARNING": "1"})
    session.log(f"The site is {ROOT / 'build/site/index.html'}; for its search: python -m http.server -d build/site")


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Run the README's first command in a copy of the tree that has nothing installed."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    copy = Path(session.create_tmp()).resolve() / "clone"
    shutil.rmtree(copy, ignore_errors=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    first_command = re.search(r"^```sh\n(.+?)(?:\s+#.*)?$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    if first_command is None:
        session.error("README.md has no first command")
    with session.chdir(copy):
        session.run(*first_command[1].split(), external=True)
    if not list(copy.glob("runs/**/report.html")):
        session.error("the README's first command left no report")
    shutil.rmtree(copy)


@nox.session(default=False)
def constraints(session: nox.Session) -> None:
    """Write constraints.txt anew from a fresh resolution; lines marked `held` stay as they are."""
    held = [line for line in CONSTRAINTS.read_text().splitlines() if line.endswith("# held")]
    kept = Path(session.create_tmp()).resolve() / "held.txt"
    kept.write_text("\n".join(held))
    install_packages(session, *PACKAGES.values(), options=("--upgrade", "--constraint", str(kept)))
    session.install("--constraint", str(kept), *TOOLS, *INSTALLERS, *SITE_TOOLS)
    ours = {package.distribution for package in PACKAGES.values()}
    pins = {name: f"{name}=={version}" for name, version in installed(session).items() if name not in ours}
    pins |= {line.split("==")[0]: line for line in held}
    header = "# Exact versions of what nox and CI install; written by `nox -s constraints`. Packages declare ranges.\n"
    CONSTRAINTS.write_text(header + "".join(f"{pins[name]}\n" for name in sorted(pins)))


@nox.session(venv_backend="none", default=False)
def check(session: nox.Session) -> None:
    """Run all other sessions, as many side by side as there are cores; after `--`, those named.

    What a session prints is shown when it has ended, so that the lines of two don't mix.
    """
    REPORTS.mkdir(parents=True, exist_ok=True)
    names = session.posargs or [*LONGEST_FIRST, *(n for n in all_sessions() if n not in LONGEST_FIRST)]
    lanes = max(1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4))
    with ThreadPoolExecutor(lanes) as pool:  # before two sessions want the same one
        list(pool.map(lambda package: built(package, BUILT), PACKAGES.values()))
    environment = {**os.environ, "OMNITRAIN_TEST_PROCESSES": "1" if lanes > 1 else "auto"}
    seconds: dict[str, float] = {}
    failed: list[str] = []
    printing = threading.Lock()

    def run(name: str) -> None:
        began = time.monotonic()
        command = [sys.executable, "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), "--session", name]
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
        seconds[name] = time.monotonic() - began
        with printing:
            print(done.stdout, done.stderr, sep="", flush=True)
            if done.returncode:
                failed.append(name)
            print(f"{name}: {'FAILED' if done.returncode else 'good'} in {seconds[name]:.0f} s", flush=True)

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(run, names))
    (REPORTS / "sessions.json").write_text(json.dumps(seconds, indent=1))
    if failed:
        session.error(f"{len(failed)} of {len(names)} sessions failed: {', '.join(failed)}")


# A long session that begins last leaves the other cores idle.
LONGEST_FIRST = ("lowest", "demo", "tests")


def all_sessions() -> Sequence[str]:
    """Names of the sessions that `check` runs."""
    return [*PACKAGES, "lint", "types", "dist", "lowest", "tests", "third_party", "docs", "demo"]
