"""The names that authors of plugins import do not change by accident.

After an intended change: `python tests/test_api_snapshot.py` in the core's folder writes the snapshot anew; raise
API_VERSION's minor number for something added and its major number for something changed or removed.
"""

import dataclasses
import inspect
import json
import typing
from pathlib import Path

import omnitrain.api
from omnitrain import engine

SNAPSHOT = Path(__file__).parent / "api_snapshot.json"


def describe(value: typing.Any) -> typing.Any:
    """Return the signature, or of a class its fields, methods and bases' names."""
    if not inspect.isclass(value):
        if inspect.isfunction(value):
            return str(inspect.signature(value))
        return type(value).__name__ if " at 0x" in repr(value) else str(value)
    if dataclasses.is_dataclass(value):
        return {
            f.name: f"{f.type}{'' if f.default is dataclasses.MISSING else f' = {f.default!r}'}"
            for f in dataclasses.fields(value)
        }
    described = {f"{name}:": str(kind) for name, kind in inspect.get_annotations(value).items() if name[0] != "_"}
    for name, member in sorted(vars(value).items()):
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if inspect.isfunction(function) and (not name.startswith("_") or name in ("__call__", "__iter__")):
            described[name] = str(inspect.signature(function))
    return described


def current() -> dict[str, typing.Any]:
    """Describe every public name of omnitrain.api, and name those of omnitrain.engine."""
    names = {name: describe(getattr(omnitrain.api, name)) for name in sorted(omnitrain.api.__all__)}
    return {"version": list(omnitrain.api.API_VERSION), "api": names, "engine": sorted(engine.__all__)}


def test_public_names_and_signatures_are_those_of_the_snapshot():
    stored, found = json.loads(SNAPSHOT.read_text()), current()
    changed = [name for name in stored["api"] | found["api"] if stored["api"].get(name) != found["api"].get(name)]
    assert not changed, f"{changed} changed; see the top of this file"
    assert found == stored


def test_every_public_name_is_there_and_described():
    for name in omnitrain.api.__all__:
        value = getattr(omnitrain.api, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, name
    for name in engine.__all__:
        assert getattr(engine, name).__doc__, name


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(current(), indent=1) + "\n")
