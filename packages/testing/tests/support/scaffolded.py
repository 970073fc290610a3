"""Use a written plugin in a child, as if it were installed from its folder."""

import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path

TIME_LIMIT_S = 120


def installed_from(package: Path, name: str) -> list[str]:
    """Write the metadata that an editable installation has; return what must be on the path."""
    module = f"omnitrain_{name.replace('-', '_')}"
    info = package / "site" / f"{module}-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: omnitrain-{name}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[omnitrain.plugins]\n{name} = {module}.plugin\n")
    (info / "direct_url.json").write_text(json.dumps({"url": package.as_uri(), "dir_info": {"editable": True}}))
    return [str(package / "src"), str(package / "site")]


def use_plugin(package: Path, name: str, commands: Sequence[Sequence[str]]) -> tuple[list[int], str]:
    """Run commands with the plugin installed; return exit codes and all that was printed."""
    told = package / "codes.json"
    arguments = (installed_from(package, name), str(package), [list(c) for c in commands], str(told))
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["warmed"])
    process = server.Process(target=_use, args=arguments)
    process.start()
    process.join(TIME_LIMIT_S)
    said = (package / "said.txt").read_text(errors="replace")
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"the child took longer than {TIME_LIMIT_S} s: {said}")
    return json.loads(told.read_text()) if told.exists() else [], said


def _use(paths: list[str], folder: str, commands: list[list[str]], told: str) -> None:
    """Run commands in turn, and write their exit codes to the file `told`. "pytest" is one of them."""
    # Plugins of pytest that the fork server imported can't be rewritten any more.
    os.environ.update({"OMNITRAIN_CACHE": f"{folder}/cache", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])
    sys.path[:0] = paths
    os.chdir(folder)
    importlib.invalidate_caches()
    with open("said.txt", "w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    from omnitrain.plugins import installed

    installed.cache_clear()
    codes = []
    for command in commands:
        if command[0] == "pytest":
            import pytest

            codes.append(int(pytest.main(command[1:])))
        else:
            from omnitrain.cli import run

            codes.append(run(command))
    Path(told).write_text(json.dumps(codes))
