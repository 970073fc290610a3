"""What decides a stage's result, and what of it has changed since the stage was begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omnitrain.plugins import Registry
from omnitrain.recipes import ResolvedRecipe, Stage, canonical, fingerprint, locked_stage, named_inputs, uses
from omnitrain.runs import StageRecord, differences
from omnitrain.runs.contents import Content, Contents
from omnitrain.runs.environment import code_versions


@dataclass(frozen=True)
class Basis:
    """What a stage's result rests on.

    settings: digits of settings and seed. code: versions by distribution. upstream: digits of the stages that it takes from.
    inputs: by setting, see `StageRecord`. gone: settings whose input was recorded and is not there any more; the record counts.
    """

    settings: str
    code: Mapping[str, str]
    upstream: Mapping[str, str]
    inputs: Mapping[str, Mapping[str, Any]]
    gone: tuple[str, ...] = ()

    @property
    def digits(self) -> str:
        """Digits of all of it."""
        inputs = {setting: found["digest"] for setting, found in self.inputs.items()}
        return fingerprint({"settings": self.settings, "code": self.code, "upstream": self.upstream, "inputs": inputs})

    def record(self) -> StageRecord:
        """Return what stage.json holds of it while the stage runs."""
        inputs = {setting: dict(found) for setting, found in self.inputs.items()}
        code, upstream = dict(self.code), dict(self.upstream)
        return StageRecord("running", self.digits, code=code, settings=self.settings, upstream=upstream, inputs=inputs)


def stage_code(stage: Stage, registry: Registry) -> dict[str, str]:
    """Return the versions of the distributions that a stage's components come from."""
    addresses = [stage.use, *(use.use for _, use in uses(stage.config) if use.use)]
    plugins = {"core", *(address.partition("/")[0] for address in addresses)}
    return code_versions(state.distribution for state in registry.states if state.name in plugins and state.status == "ok")


def stage_basis(
    recipe: ResolvedRecipe,
    stage: Stage,
    upstream: Mapping[str, str],
    code: Mapping[str, str],
    contents: Contents,
    record: StageRecord | None,
) -> Basis:
    """Return what a stage rests on now.

    upstream: digits of the stages before it. code: see `stage_code`. record: of an earlier attempt at it.
    """
    sources = {use.stage for _, use in uses(stage.config) if use.stage is not None}
    inputs, gone = read_inputs(stage, contents, record)
    settings = fingerprint(canonical({"stage": locked_stage(stage), "seed": recipe.seed}))
    taken = {s: upstream[s] for s in sorted(sources) if s in upstream}
    return Basis(settings, code, taken, inputs, gone)


def read_inputs(
    stage: Stage, contents: Contents, record: StageRecord | None
) -> tuple[dict[str, Mapping[str, Any]], tuple[str, ...]]:
    """Return what the stage's settings name, and which of it is gone and therefore as it was recorded."""
    known = record.inputs if record is not None else {}
    found: dict[str, Mapping[str, Any]] = {}
    gone = []
    for named in named_inputs(stage.config):
        setting = named.key
        content = contents.of_all(named.texts, named.what)
        if content is not None:
            found[setting] = _described(named.texts, content)
        elif setting in known:
            found[setting] = known[setting]
            gone.append(setting)
    return found, tuple(gone)


def _described(texts: tuple[str, ...], content: Content) -> dict[str, Any]:
    path = texts[0] if len(texts) == 1 else f"{texts[0]} and {len(texts) - 1} more"
    return {"path": path, "digest": content.digest, "files": content.files, "bytes": content.bytes}


def product(digits: str, record: StageRecord | None) -> str:
    """Return digits of what a stage leaves: of what it rests on and of the data that it built."""
    return digits if record is None or not record.data else fingerprint({"stage": digits, "data": record.data})


def changed_inputs(record: StageRecord, inputs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the inputs whose content is another than recorded."""
    return [
        f"{setting}: {_told(record.inputs.get(setting))} -> {_told(inputs.get(setting))}"
        for setting in dict.fromkeys([*record.inputs, *inputs])
        if record.inputs.get(setting, {}).get("digest") != inputs.get(setting, {}).get("digest")
    ]


def _told(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "no file or folder"
    return f"{found['path']} with fingerprint {found['digest'][:12]} ({found['files']} files, {found['bytes']} bytes)"


def explain(record: StageRecord, basis: Basis) -> tuple[str, str]:
    """Say what a recorded stage was begun with that is another one now, and what else than --force mends it."""
    inputs = changed_inputs(record, basis.inputs)
    if inputs:
        return f"other inputs, which changed since: {'; '.join(inputs)}", "restore the files"
    code = differences(record.code, dict(basis.code))
    if code:
        return f"other code: {'; '.join(code)}", "install the earlier versions"
    if record.settings != basis.settings:
        return "other settings or another seed", "take the recipe that it was begun with"
    stages = [name for name in basis.upstream if record.upstream.get(name) != basis.upstream[name]]
    if stages:
        return f"another result of stage {', '.join(map(repr, stages))}, which it takes from", "restore that stage's folder"
    return "another fingerprint than these settings, code and inputs have, so its stage.json was changed", "restore that file"
