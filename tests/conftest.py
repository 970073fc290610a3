"""What the tests across packages share: one cache, so that a tokenizer is trained once, and the real command."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from forking import LOOK_SECONDS, Child, Server

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
for _name in ("OMNITRAIN_PLUGINS", "OMNITRAIN_STRICT"):
    os.environ.pop(_name, None)

COMMAND = (sys.executable, "-m", "omnitrain")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of this process and of every command that it starts."""
    before = os.environ.get("OMNITRAIN_CACHE")
    folder = tmp_path_factory.mktemp("cache")
    os.environ["OMNITRAIN_CACHE"] = str(folder)
    yield folder
    del os.environ["OMNITRAIN_CACHE"]
    if before is not None:
        os.environ["OMNITRAIN_CACHE"] = before


SERVER = Server()


class Command:
    """The command line, in a process of its own below SERVER."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}

    def start(self, *arguments: str | Path, prelude: str = "") -> Child:
        """Start it. prelude: Python that its process executes first."""
        return SERVER.start([str(argument) for argument in arguments], self.folder, self.environment, prelude)

    def __call__(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it to its end and check the exit code."""
        done = self.start(*arguments).finish()
        assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def signalled(self, *arguments: str | Path, at: str, number: int) -> tuple[int, str]:
        """Run it, send it a signal as soon as it prints a line with `at`; return exit code and standard error."""
        child = self.start(*arguments)
        while child.poll() is None and at not in child.stderr.read_text():
            time.sleep(LOOK_SECONDS)
        child.send_signal(number)
        done = child.finish()
        return done.returncode, done.stderr


@pytest.fixture(scope="module")
def omnitrain(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Command:
    """The command, started in an empty folder of the test module."""
    return Command(tmp_path_factory.mktemp("folder"))


def pytest_unconfigure() -> None:
    """End the process that commands are forked from."""
    SERVER.close()
