"""Check a recipe against the strict configs of its components, collecting every error before giving up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from omnitrain.api.config import Config, Use, UseEvaluator
from omnitrain.api.finished import evaluation_stem
from omnitrain.errors import OmnitrainError, UsageError, nearest
from omnitrain.masking import lacking
from omnitrain.plugins import Registry
from omnitrain.recipes.expanding import TOP_LEVEL
from omnitrain.recipes.model import ResolvedRecipe, Stage, uses
from omnitrain.recipes.reading import Document, Origin, Path_
from omnitrain.recipes.sources import Sources

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_RECIPE = ("summary", "seed", "stages")
MOST_SHOWN = 20


class _Problems:
    """Collects messages, each with the place of the value it is about."""

    def __init__(self, origins: Mapping[Path_, Origin]) -> None:
        self.origins = origins
        self.messages: list[str] = []
        self.count = 0
        self.missed = 0
        self.left_out = False
        self.stages: list[Any] = []
        self.sources = Sources()
        self.error: OmnitrainError | None = None

    def place(self, path: Path_) -> str:
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return str(self.origins[path[:end]])
        return "recipe"

    @property
    def enough(self) -> bool:
        """Whether so many components are not there that no more are looked up, which takes its time; that is told."""
        self.left_out = self.left_out or self.missed > MOST_SHOWN
        return self.left_out

    def miss(self, path: Path_, error: OmnitrainError) -> None:
        """Add that a component is not there."""
        self.missed += 1
        self.add((*path, "use"), str(error))
        self.error = self.error or error

    def add(self, path: Path_, message: str | Callable[[], str]) -> None:
        self.count += 1
        if self.count > MOST_SHOWN:
            return
        message = message if isinstance(message, str) else message()
        told = f"{self.place(path)}: {self._key(path)}: {message}"
        if told in self.messages:
            self.count -= 1
        else:
            self.messages.append(told)

    def _key(self, path: Path_) -> str:
        return ".".join(str(part)[:100] for part in self._by_name(path)) or "recipe"

    def _by_name(self, path: Path_) -> Path_:
        """Write stages.0.fit as pretrain.fit, which is how an override would name it."""
        if len(path) > 2 and path[0] == "stages" and isinstance(path[1], int) and path[1] < len(self.stages):
            name = self.stages[path[1]]
            usable = isinstance(name, str) and _STAGE_NAME.fullmatch(name) and self.stages.count(name) == 1
            return (name, *path[2:]) if usable else path
        return path

    def check(self) -> None:
        if self.messages:
            kind = type(self.error) if self.error is not None else UsageError
            more = self.count - len(self.messages)
            least = "at least " if self.left_out else ""
            head = "" if self.count == 1 else f"{least}{self.count} problems:\n"
            rest = f"\nand {least}{more} more." if more else ""
            raise kind(head + "\n".join(self.messages) + rest)


def resolve(document: Document, address: str, registry: Registry) -> ResolvedRecipe:
    """Check a recipe and return it with validated configs. Imports only the light config modules of its components.

    Raises UsageError that lists every problem with file, line, key, what is allowed and the nearest name.
    """
    problems = _Problems(document.origins)
    value = document.value
    if not isinstance(value, dict):
        problems.add((), f"expected a mapping with {', '.join(_RECIPE)}; found {_describe(value)}.")
        problems.check()
    for key in value:
        if key not in _RECIPE:
            problems.add((key,), lambda key=key: f"unknown key. {nearest(key, TOP_LEVEL)}")  # type: ignore[misc]
    seed = value.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        problems.add(("seed",), f"expected a whole number from 0 to 2^63 - 1; found {_describe(seed)}.")
    if not isinstance(value.get("summary", ""), str):
        problems.add(("summary",), f"expected text; found {_describe(value['summary'])}.")
    stages = value.get("stages")
    if not isinstance(stages, list) or not stages:
        problems.add(("stages",), f"expected a list of at least one stage; found {_describe(stages)}.")
        problems.check()
    problems.stages = [raw.get("name") if isinstance(raw, dict) else None for raw in stages]
    resolved: list[Stage] = []
    names: list[str] = []
    for i, raw in enumerate(stages):
        if problems.enough:
            break
        stage = _stage(raw, ("stages", i), names, registry, problems)
        names.append(str(raw.get("name", "")) if isinstance(raw, dict) else "")
        if stage is not None:
            resolved.append(stage)
            problems.sources.add(stage.name, stage.config)
    problems.check()
    return ResolvedRecipe(address, value.get("summary", ""), seed, tuple(resolved), value, document.origins)


def _stage(raw: Any, path: Path_, earlier: list[str], registry: Registry, problems: _Problems) -> Stage | None:
    if not isinstance(raw, dict):
        problems.add(path, f"expected a mapping with name, use and settings; found {_describe(raw)}.")
        return None
    name = raw.get("name")
    if not isinstance(name, str) or not _STAGE_NAME.fullmatch(name):
        problems.add((*path, "name"), f"expected a short name of lower-case letters, digits, - and _; found {_describe(name)}.")
        name = "?"
    elif name in earlier:
        problems.add((*path, "name"), f"two stages are named {name!r}.")
    use = raw.get("use")
    if not isinstance(use, str):
        problems.add((*path, "use"), f"expected the stage to run, such as core/fit; found {_describe(use)}.")
        return None
    settings = {k: v for k, v in raw.items() if k not in ("name", "use")}
    try:
        component = registry.component(use, "stage")
        cls = registry.config_class(component)
    except OmnitrainError as error:
        problems.miss(path, error)
        return None
    config = _config(cls, settings, path, problems)
    if config is None:
        _check_uses_beside(cls, settings, path, earlier, registry, problems)
        return None
    _resolve_uses(config, path, earlier, registry, problems)
    _check_labels(config, path, problems)
    return Stage(name, use, component, config)


def _check_labels(config: Config, path: Path_, problems: _Problems) -> None:
    """Refuse two evaluators of one list whose results would be stored under one name (also where case does not count)."""
    seen: dict[tuple[Path_, str], str] = {}
    for inner, use in uses(config):
        if not isinstance(use, UseEvaluator) or not isinstance(inner[-1], int):
            continue
        key = (inner[:-1], evaluation_stem(use.label).casefold())
        if key in seen:
            both = "" if seen[key] == use.label else f" and {seen[key]!r}, which are stored under one name"
            remedy = "give each a 'name:', as in {use: ..., name: first}"
            problems.add((*path, *inner), f"two evaluators are labelled {use.label!r}{both}; {remedy}.")
        seen.setdefault(key, use.label)


def _config(cls: type[Config], settings: Any, path: Path_, problems: _Problems, partial: bool = False) -> Config | None:
    """Validate plain settings; JSON mode keeps strictness while lists may stand for tuples and text for paths.

    partial: what is required may be absent, since a product of a stage brings it.
    """
    settings = _completed(cls, settings)
    immense = list(_immense(settings))
    for place, number in immense:
        problems.add((*path, *place), f"expected a whole number between -2^63 and 2^63; found {_describe(number)}.")
    if immense:
        return None
    try:
        return cls.model_validate_json(json.dumps(settings), strict=True)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if partial and item["type"] == "missing":
                continue
            place = (*path, *_clean(item["loc"], settings))
            problems.add(place, lambda item=item: _message(item, cls))  # type: ignore[misc]
        return None


def _immense(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, int]]:
    """Yield whole numbers that no machine number holds, each with its path; no setting means one of them."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield path, value
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _immense(item, (*path, key))


def _completed(cls: type[Config], settings: Any) -> Any:
    """Add `use` where settings are given for a component that the config uses by default."""
    if not isinstance(settings, dict):
        return settings
    out = dict(settings)
    for name, field in cls.model_fields.items():
        given = out.get(name)
        if isinstance(given, dict) and "use" not in given and "from" not in given and not field.is_required():
            default = field.get_default(call_default_factory=True, validated_data={})
            if isinstance(default, Use) and default.use is not None:
                out[name] = {"use": default.use, **default.raw, **given}
    return out


def _check_uses_beside(
    cls: type[Config], settings: Mapping[str, Any], path: Path_, earlier: list[str], registry: Registry, problems: _Problems
) -> None:
    """Check the components of a stage whose own settings are wrong too, so that all errors are told at once."""
    for name, field in cls.model_fields.items():
        kind = next((m for m in _models(field.annotation) if issubclass(m, Use)), None)
        if kind is None or not isinstance(settings.get(name), (dict, str)):
            continue
        try:
            use = kind.model_validate(settings[name])
        except ValidationError:
            continue
        _resolve_one(use, (*path, name), earlier, registry, problems)


def _clean(loc: tuple[int | str, ...], settings: Any) -> Path_:
    """Drop the tags that pydantic puts into locations of unions, which are no keys of the settings."""
    out: list[str | int] = []
    here = settings
    for i, part in enumerate(loc):
        last = i == len(loc) - 1
        if isinstance(here, dict) and (part in here or last):
            out.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            out.append(part)
            here = here[part]
    return tuple(out)


def _message(item: Any, cls: type[BaseModel]) -> str:
    if item["type"] == "extra_forbidden":
        owner = _owner(cls, item["loc"][:-1])
        known = [f.alias or n for n, f in owner.model_fields.items()] if owner else []
        return f"unknown key. {nearest(str(item['loc'][-1]), known)}"
    if item["type"] == "missing":
        return "is required and not given."
    text = str(item["msg"]).removeprefix("Value error, ").rstrip(".")
    text = text.replace("Input should be", "expected")
    return f"{text}; found {_describe(item['input'])}."


def _owner(cls: type[BaseModel], loc: Iterable[int | str]) -> type[BaseModel] | None:
    here: type[BaseModel] | None = cls
    for part in loc:
        if isinstance(part, int) or here is None:
            continue
        found = here.model_fields.get(part)
        if found is None:
            continue
        here = next(_models(found.annotation), None)
    return here


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models(argument)


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _resolve_uses(config: Config, path: Path_, earlier: list[str], registry: Registry, problems: _Problems) -> None:
    """Validate what each unresolved use holds, then what these use in turn."""
    for inner, use in list(uses(config)):
        if use.is_resolved:
            continue
        if problems.enough:
            return
        _resolve_one(use, (*path, *inner), earlier, registry, problems)


def _resolve_one(use: Use, path: Path_, earlier: list[str], registry: Registry, problems: _Problems) -> None:
    if use.source is not None:
        stage = str(use.stage)
        if stage not in earlier:
            problems.add((*path, "from"), f"no earlier stage is named {stage!r}. {nearest(stage, earlier)}")
        elif (fault := problems.sources.fault(use)) is not None:
            problems.add((*path, "from"), fault)
        elif use.raw:
            _check_beside(use, path, earlier, registry, problems)
        return
    assert use.use is not None
    try:
        component = registry.component(use.use, use.kind)
        cls = registry.config_class(component)
    except OmnitrainError as error:
        problems.miss(path, error)
        return
    config = _config(cls, use.raw, path, problems)
    if config is not None:
        use.resolved(config)
        _resolve_uses(config, path, earlier, registry, problems)


def _check_beside(use: Use, path: Path_, earlier: list[str], registry: Registry, problems: _Problems) -> None:
    """Check the settings beside `from:` against the component that made the product, where the stages tell which one."""
    origin = problems.sources.origin(use)
    if origin is None:
        return
    address, settings = origin
    config = _config(registry.config_class(registry.component(address, use.kind)), settings, path, problems, partial=True)
    if config is not None:
        _resolve_uses(config, path, earlier, registry, problems)


def resolve_component(address: str, kind: str, settings: Mapping[str, Any], registry: Registry, where: str) -> Config:
    """Validate settings of one component outside a recipe (a saved model's, an override of a command).

    Raises UsageError that lists every problem.
    """
    problems = _Problems({(): Origin(where)})
    for key in lacking(settings):
        problems.add((key,), "the secret of this address is not stored; name the original, with its secret, in a recipe.")
    config = _config(registry.config_class(registry.component(address, kind)), dict(settings), (), problems)
    if config is not None:
        _resolve_uses(config, (), [], registry, problems)
    problems.check()
    assert config is not None
    return config
