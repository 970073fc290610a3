"""Run directories: one folder that holds everything a run knows."""

from __future__ import annotations

import datetime
import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omnitrain.api.checksums import check_files, files_of
from omnitrain.api.stored import OWN_STAGE, RUN, check_shape, read_as, read_plain
from omnitrain.errors import Damaged, EnvironmentFault, NotMadeYet, UsageError
from omnitrain.masking import masked
from omnitrain.recipes import ResolvedRecipe, canonical, fingerprint, lock_text, locked_values
from omnitrain.runs.environment import describe_environment
from omnitrain.runs.files import REMOVED, TEMPORARY, inside, remove, sweep, write_json, write_whole
from omnitrain.runs.notices import tell
from omnitrain.runs.records import Records, read_records

SCHEMA = 1
LOCK_FILE = "recipe.lock.yaml"
RUN_FILE = "run.json"
STAGE_FILE = "stage.json"
COMPONENT_FILE = "component.json"
ASSETS = "assets"
SPACE_NEEDED = 64 * 2**20


@dataclass(frozen=True)
class StoredArtifact:
    """A product of a finished stage. path: absolute, inside the run directory."""

    name: str
    kind: str
    path: Path
    details: Mapping[str, Any]


@dataclass
class StageRecord:
    """What stage.json holds.

    status: "running" or "finished". fingerprint: of all that decides its result, which the last fields tell apart.
    artifacts: name to {path, kind, details, files: {name: [bytes, SHA-256]}}. code: version of each
    distribution that the stage's components come from.
    settings: digits of settings and seed. upstream: of the stages that it takes from. inputs: by setting, what a path names:
    {path, digest, files, bytes}. data: by setting, the fingerprints that data told when it was built. counted: the stage and
    its parts whose checkpoints count their lines. refused: the last attempt ended because of the data that it was given.
    """

    status: str
    fingerprint: str
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    code: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    upstream: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, list[str]] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)
    refused: bool = False


class RunDirectory:
    """A run's folder: lock file, run.json, metrics, one folder a stage, report.

    writes: false on all but the first of several processes, which read what the first one writes.
    """

    def __init__(self, root: Path, writes: bool = True) -> None:
        self.root, self.writes = root, writes
        self.metrics = Records(root / "metrics.jsonl", writes)
        self.timing = Records(root / "timing.jsonl", writes)
        self.events = Records(root / "events.jsonl", writes)
        self._made: dict[str, dict[str, dict[str, Any]]] = {}

    def create(self) -> None:
        """Make the folder and check that it can be written.

        Raises EnvironmentFault for an impossible or read-only path and for a disk that is nearly full.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".tmp-probe-{os.getpid()}"
            probe.write_bytes(b"x" * 4096)
            probe.unlink()
            space = os.statvfs(self.root)
        except OSError as error:
            reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise EnvironmentFault(
                f"The run directory {self.root} can't be written: {reason}; choose another --out."
            ) from error
        free = space.f_bavail * space.f_frsize
        if free < SPACE_NEEDED:
            raise EnvironmentFault(
                f"The run directory {self.root} has {free // 2**20} MiB left; at least {SPACE_NEEDED // 2**20} MiB are needed."
            )

    def claim(self, recipe: ResolvedRecipe, force: bool = False) -> bool:
        """Take the folder for a recipe; return True when an earlier run of the same recipe is continued.

        force: go on although settings differ; stages whose inputs changed run again. A run in which nothing was made yet, such
        as one that failed at once, gives its folder to any recipe.
        Raises UsageError with the differences when the folder belongs to another recipe, or holds other files.
        """
        values = locked_values(recipe)
        digits = fingerprint(values)
        resumed = (self.root / RUN_FILE).exists()
        if resumed:
            stored = self.record
            changes = differences(stored["recipe"], values)
            if stored["fingerprint"] == digits or not changes:
                if not (self.root / LOCK_FILE).exists():  # the first run was killed between the two files
                    write_whole(self.root / LOCK_FILE, lock_text(recipe))
                return True
            if self._clear_if_nothing_ran(stored["recipe"]):
                resumed = False
            elif not force:
                shown = "\n".join(f"  {c}" for c in changes[:12])
                raise UsageError(
                    f"{self.root} belongs to another recipe ({stored['address']}); it differs in:\n{shown}\n"
                    "Choose another --out, or add --force to keep the stages that are not affected."
                )
        elif any(not p.name.startswith((".lock", TEMPORARY)) for p in self.root.iterdir()):
            raise UsageError(f"{self.root} is not empty and not a run; choose an empty folder for --out.")
        record = {
            "schema": SCHEMA,
            "address": recipe.address,
            "summary": recipe.summary,
            "fingerprint": digits,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "environment": describe_environment(),
            "recipe": values,
        }
        write_json(self.root / RUN_FILE, record)
        write_whole(self.root / LOCK_FILE, lock_text(recipe))
        return resumed

    def _clear_if_nothing_ran(self, recipe: Mapping[str, Any]) -> bool:
        """Remove the folders of a run whose stages made nothing yet, so that a corrected recipe can have its place."""
        names = [stage["name"] for stage in recipe["stages"]]
        if self.metrics.stages() or not all(map(self._made_nothing, names)):
            return False
        for name in names:
            self.reset_stage(name)
        return True

    def _made_nothing(self, name: str) -> bool:
        """Whether a stage has done no work that is kept."""
        record, stage = self.stage_record(name), self.root / name
        if record is not None and record.status == "finished":
            return False
        return all(not p.is_file() or _is_made_at_once(p.relative_to(stage)) for p in stage.rglob("*"))

    def rests_on_nothing(self, name: str) -> bool:
        """Whether a stage that was begun can take what it is given now as its first inputs: it refused those before."""
        record = self.stage_record(name)
        return record is not None and record.refused and self._made_nothing(name) and name not in self.metrics.stages()

    def tell_damage(self, say: Callable[[str], None]) -> None:
        """Say which lines of the run's records are damaged, and keep it as an event, once for each."""
        known = {row.get("note") for row in read_records(self.events.path)}
        for records in (self.metrics, self.timing, self.events):
            for note in records.damage():
                if note not in known:
                    say(note)
                    self.events.append("", event="damage", note=note)

    def check_there(self) -> None:
        """Raise EnvironmentFault where the folder was removed, before anything makes a part of it again."""
        if not self.root.is_dir():
            raise EnvironmentFault(f"The run directory {self.root} was removed while the run was under way; {REMOVED}.")

    def sweep(self) -> None:
        """Remove temporary files that a killed process left; only for the process that holds the lock."""
        sweep(self.root)

    @property
    def record(self) -> dict[str, Any]:
        """What run.json holds.

        Raises EnvironmentFault when this folder is not a run, or one of another schema version, or damaged.
        """
        path = self.root / RUN_FILE
        try:
            record: dict[str, Any] = read_plain(path)
        except FileNotFoundError as error:
            raise EnvironmentFault(f"{self.root} is not a run directory (it holds no {RUN_FILE}).") from error
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            found = record.get("schema") if isinstance(record, dict) else None
            raise EnvironmentFault(f"{path} has schema version {found!r}; this version of omnitrain reads {SCHEMA}.")
        check_shape(path, record, RUN, "restore it or choose another --out")
        return record

    def stage_folder(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.root / stage

    def stage_record(self, stage: str) -> StageRecord | None:
        """Return what is known of a stage, or None before it ran."""
        path = self.root / stage / STAGE_FILE
        advice = f"remove {path.parent} to run this stage anew"
        try:
            found = read_as(path, OWN_STAGE, advice)
        except FileNotFoundError:
            return None
        try:
            return StageRecord(**found)
        except TypeError as error:
            raise Damaged(f"{path} is damaged; {advice} ({error}).") from error

    def write_stage(self, stage: str, record: StageRecord) -> None:
        """Store what is known of a stage; of one that finished, with the checksums of the files that it made."""
        if not self.writes:
            return
        self.check_there()
        (self.root / stage).mkdir(exist_ok=True)
        content = asdict(record)
        if record.status == "finished":
            for made in content["artifacts"].values():
                path = self.root / made["path"]
                if path.exists() and path.resolve().is_relative_to(self.root.resolve()):
                    made.setdefault("files", files_of(path))
        write_json(self.root / stage / STAGE_FILE, content)

    def reset_stage(self, stage: str) -> None:
        """Remove a stage's folder and its lines, to run it from its beginning."""
        if not self.writes:
            return
        remove(self.root / stage)
        self._made.pop(stage, None)
        for records in (self.metrics, self.timing, self.events):
            for name in [n for n in records.stages() if n == stage or n.startswith(f"{stage}/")]:
                records.cut(name, 0)

    def add_artifact(self, stage: str, name: str, path: Path, kind: str, details: Mapping[str, Any]) -> None:
        """Remember a product of the running stage, or of its part "stage/part", which is named "part/name"."""
        stage, _, part = stage.partition("/")
        relative = str(path.relative_to(self.root))
        artifact = {"path": relative, "kind": kind, "details": masked(dict(details))}
        self._made.setdefault(stage, {})[f"{part}/{name}" if part else name] = artifact

    def made(self, stage: str) -> dict[str, dict[str, Any]]:
        """Return what the running stage has made, as stage.json will hold it."""
        return self._made.get(stage, {})

    def artifact(self, stage: str, name: str) -> StoredArtifact:
        """Return an artifact of a finished stage.

        Raises NotMadeYet before the stage ran, EnvironmentFault when it has none of that name, or its files are gone or not as
        the stage wrote them.
        """
        record = self.stage_record(stage)
        if record is None:
            raise NotMadeYet(f"Stage {stage!r} of {self.root} has not run, so there is no {name!r} of it.")
        found = record.artifacts.get(name)
        if found is None:
            known = ", ".join(record.artifacts) or "nothing"
            raise EnvironmentFault(f"Stage {stage!r} of {self.root} has no artifact {name!r}; it made {known}.")
        path = inside(self.root, found["path"])
        if not path.exists():
            raise EnvironmentFault(
                f"{path} is missing although stage {stage!r} made it; remove {self.root / stage} and run again."
            )
        for extra in check_files(path, found.get("files", {}), f"remove {self.root / stage} and run again"):
            tell(f"{path / extra} was not written by stage {stage!r}")
        return StoredArtifact(name, found["kind"], path, found["details"])

    def close(self) -> None:
        """Close the open record files."""
        for records in (self.metrics, self.timing, self.events):
            records.close()


def _is_made_at_once(path: Path) -> bool:
    """Whether a file of a stage is there before the stage's work: its record, and what its data saves for the model."""
    return path.parts[0] in (STAGE_FILE, ASSETS) or path.name.startswith(TEMPORARY)


_ABSENT = object()


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """List the keys in which two plain trees differ, as "key: old -> new"; equal numbers are no difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(k for k in new if k not in old)]
        return [
            d for k in keys for d in differences(old.get(k, _ABSENT), new.get(k, _ABSENT), f"{path}.{k}" if path else str(k))
        ]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            d
            for i, (a, b) in enumerate(zip(old, new, strict=True))
            for d in differences(a, b, f"{path}.{_label(i, a)}" if path != "stages" else _label(i, a))
        ]
    same = (type(old) is type(new) and old == new) or fingerprint(canonical(old)) == fingerprint(canonical(new))
    return [] if same else [f"{path}: {_short(old)} -> {_short(new)}"]


def _label(index: int, item: Any) -> str:
    return str(item["name"]) if isinstance(item, dict) and isinstance(item.get("name"), str) else str(index)


def _short(value: Any) -> str:
    text = "not given" if value is _ABSENT else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
