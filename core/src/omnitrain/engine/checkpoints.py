"""Checkpoints that are whole or absent, checksummed, rotated, and written behind the loop's back."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnitrain.api.stored import read_plain
from omnitrain.engine.state import pack, unpack
from omnitrain.errors import Damaged, EnvironmentFault
from omnitrain.runs.files import TEMPORARY, apply_umask, remove, sync_folder

SCHEMA = 1
MANIFEST = "manifest.json"
STATE = "state.json"
ASIDE = ".old-"
_NAME = re.compile(r"^step-(\d+)$")


@dataclass(frozen=True)
class Restored:
    """What a checkpoint held: the step after which it was taken, and the state of each part."""

    step: int
    parts: dict[str, Any]


class _Damaged(Exception):
    """A checkpoint that can't be used, with the reason."""


class Checkpoints:
    """The checkpoints of one stage.

    directory: their folder. identity: fingerprint of the stage; a checkpoint of another one is never taken.
    keep: how many of the newest are kept, besides the best. background: write in a thread; the loop waits only while
    its tensors are cloned. warn: called with one line about each damaged checkpoint that was passed over.
    """

    def __init__(
        self,
        directory: Path,
        identity: str,
        keep: int = 2,
        background: bool = True,
        warn: Callable[[str], None] = print,
    ) -> None:
        self.directory = directory
        self._identity, self._keep, self._background, self._warn = identity, keep, background, warn
        self._buffers: dict[str, Tensor] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._best: tuple[float, int] | None = None
        self._unusable: set[int] = set()

    def save(self, step: int, parts: Mapping[str, Any], score: float | None = None) -> None:
        """Take a checkpoint after `step` updates.

        parts: name to state tree. score: lower is better; the checkpoint with the lowest is kept in rotation.
        Raises EnvironmentFault when this or the previous one could not be written (after one more try).
        """
        self.wait()
        tensors, rest = pack(dict(parts))
        held = self._hold(tensors) if self._background else tensors
        text = json.dumps(rest)
        if score is not None and (self._best is None or score <= self._best[0]):
            self._best = (score, step)
        if not self._background:
            self._write(step, held, text, score)
            return
        self._thread = threading.Thread(target=self._write_behind, args=(step, held, text, score), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk.

        Raises EnvironmentFault when it could not be written.
        """
        self.settle()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def settle(self) -> None:
        """Wait until nothing is being written, whatever became of it."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _hold(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copy tensors into buffers that are kept between saves, so that no fresh memory has to be mapped."""
        held = {}
        for name, tensor in tensors.items():
            buffer = self._buffers.get(name)
            if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
                buffer = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
                self._buffers[name] = buffer
            buffer.copy_(tensor)
            held[name] = buffer
        return held

    def _write_behind(self, step: int, tensors: Mapping[str, Tensor], rest: str, score: float | None) -> None:
        try:
            self._write(step, tensors, rest, score)
        except BaseException as error:  # handed to the loop, which raises it at its next save or wait
            self._error = error

    def _write(self, step: int, tensors: Mapping[str, Tensor], rest: str, score: float | None) -> None:
        for attempt in (1, 2):
            try:
                self._write_once(step, tensors, rest, score)
                self._rotate(step)
                return
            except (OSError, SafetensorError) as error:
                self._sweep()
                if attempt == 2:
                    raise EnvironmentFault(
                        f"The checkpoint of step {step} can't be written to {self.directory}: {error}. Earlier checkpoints are "
                        "whole; make space, then 'omnitrain run' with the run directory goes on."
                    ) from error
            except BaseException:
                self._sweep()
                raise

    def _write_once(self, step: int, tensors: Mapping[str, Tensor], rest: str, score: float | None) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        target = self.directory / f"step-{step:08d}"
        temporary = self.directory / f"{TEMPORARY}{target.name}-{os.getpid()}"
        remove(temporary)
        temporary.mkdir()
        sums: dict[str, str] = {}
        for part, group in _by_part(tensors).items():
            name = f"{part}.safetensors"
            save_file(group, temporary / name)
            sums[name] = _finish(temporary / name)
        (temporary / STATE).write_text(rest, encoding="utf-8")
        sums[STATE] = _finish(temporary / STATE)
        manifest = {"schema": SCHEMA, "step": step, "identity": self._identity, "score": score, "sha256": sums}
        manifest["manifest"] = _own_digest(manifest)
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        _finish(temporary / MANIFEST)
        apply_umask(temporary)
        sync_folder(temporary)
        aside = self.directory / f"{ASIDE}{target.name}"
        if target.exists():
            os.replace(target, aside)
        os.replace(temporary, target)
        sync_folder(self.directory)
        self._unusable.discard(step)
        remove(aside)

    def _sweep(self) -> None:
        """Remove what an earlier save left half-written, and put back what it had only just moved aside."""
        if not self.directory.exists():
            return
        for path in self.directory.glob(f"{TEMPORARY}*"):
            remove(path)
        for path in self.directory.glob(f"{ASIDE}*"):
            target = self.directory / path.name.removeprefix(ASIDE)
            if target.exists():
                remove(path)
            else:
                os.replace(path, target)

    def _rotate(self, newest: int) -> None:
        """Keep the newest and the best. Unusable ones do not count and go, since a newer one is whole now."""
        steps = [s for s in self.steps() if s <= newest]
        whole = [s for s in steps if s not in self._unusable]
        kept = {*whole[-self._keep :], self._best[1] if self._best else None}
        for step in steps:
            if step not in kept:
                remove(self.directory / f"step-{step:08d}")

    def steps(self) -> list[int]:
        """Return the steps that have a folder, in numeric order, whether it is whole or not."""
        if not self.directory.exists():
            return []
        found = (_NAME.match(p.name) for p in self.directory.iterdir())
        return sorted(int(m[1]) for m in found if m)

    def load(self) -> Restored | None:
        """Return the newest whole checkpoint of this stage, or None when there never was one.

        A damaged one is named in a warning and the one before it is taken.
        Raises EnvironmentFault when there are checkpoints but none can be used.
        """
        self._sweep()
        steps = self.steps()
        reasons = []
        for step in reversed(steps):
            path = self.directory / f"step-{step:08d}"
            try:
                restored = self._read(path)
            except _Damaged as damage:
                self._unusable.add(step)
                reasons.append(f"{path}: {damage}")
                self._warn(f"Checkpoint {path.name} can't be used: {damage}; trying the one before it.")
                continue
            self._recall_best(steps)
            self._rotate(step)  # the run may have been killed while it removed an old one
            return restored
        if reasons:
            raise EnvironmentFault(
                "None of the checkpoints can be used; nothing was changed:\n  "
                + "\n  ".join(reasons)
                + f"\nRemove {self.directory} to start this stage anew."
            )
        return None

    def _recall_best(self, steps: list[int]) -> None:
        for step in steps:
            try:
                score = self._manifest(self.directory / f"step-{step:08d}").get("score")
            except _Damaged:
                self._unusable.add(step)
                continue
            if score is not None and (self._best is None or score <= self._best[0]):
                self._best = (score, step)

    def _manifest(self, path: Path) -> dict[str, Any]:
        try:
            manifest = read_plain(path / MANIFEST)
        except FileNotFoundError as error:
            raise _Damaged(f"{MANIFEST} is missing") from error
        except Damaged as error:
            raise _Damaged(f"{MANIFEST} is damaged") from error
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
            found = manifest.get("schema") if isinstance(manifest, dict) else None
            raise _Damaged(f"it has schema version {found!r}, this version reads {SCHEMA}")
        if manifest.get("manifest") != _own_digest(manifest) or path.name != f"step-{manifest['step']:08d}":
            raise _Damaged(f"{MANIFEST} is damaged")
        if manifest["identity"] != self._identity:
            raise _Damaged("it belongs to a run with other settings or another version of the code")
        return manifest

    def _read(self, path: Path) -> Restored:
        manifest = self._manifest(path)
        for name, digest in manifest["sha256"].items():
            file = path / name
            if Path(name).name != name or not file.is_file():
                raise _Damaged(f"{name} is missing")
            try:
                found = _digest(file)
            except OSError as error:
                raise _Damaged(f"{name} can't be read ({error.strerror})") from error
            if found != digest:
                raise _Damaged(f"{name} is damaged (its checksum differs)")
        tensors: dict[str, Tensor] = {}
        for name in manifest["sha256"]:
            if name.endswith(".safetensors"):
                part = name.removesuffix(".safetensors")
                for key, tensor in load_file(path / name).items():
                    # Memory of its own: what is loaded is a view of the file, at any alignment.
                    tensors[f"{part}.{key}" if key else part] = tensor.clone()
        rest = json.loads((path / STATE).read_text(encoding="utf-8"))
        return Restored(manifest["step"], unpack(tensors, rest))


def _by_part(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition(".")
        groups.setdefault(part, {})[key] = tensor.contiguous()
    return groups


def _finish(path: Path) -> str:
    """Force a file to disk and return its checksum."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
    return _digest(path)


def _own_digest(manifest: Mapping[str, Any]) -> str:
    """Return the checksum of a manifest's other entries."""
    text = json.dumps({k: v for k, v in manifest.items() if k != "manifest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
