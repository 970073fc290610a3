"""Use a saved model outside a recipe: measure it, let it generate."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, get_args, get_type_hints

from omnitrain.api.data import Data
from omnitrain.api.protocols import ExtendsModel, FitsData, Generates, Prepares, TellsFacts
from omnitrain.api.results import Evaluation
from omnitrain.engine.scratch import scratch_run
from omnitrain.errors import EnvironmentFault, UsageError
from omnitrain.plugins import Registry
from omnitrain.recipes import resolve_component
from omnitrain.recipes.reading import read_value
from omnitrain.runs import RunDirectory, StageRun, with_facts, with_model_source
from omnitrain.runs.directory import COMPONENT_FILE

STAGE = "adhoc"
OnText = Callable[[int, str], None]


class Answer(Protocol):
    """What `text_generator` yields: prompts to texts; on_text is called as (number of the prompt, new text) if it can be."""

    def __call__(self, prompts: list[str], on_text: OnText | None = None, /) -> list[str]: ...


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read "key=value" and "outer.inner=value" into a nested dictionary.

    Raises UsageError for a text without "=" and for a key inside a plain value.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, separator, raw = text.partition("=")
        parts = key.split(".")
        if not separator or "" in parts:
            raise UsageError(f"{text!r} is not a setting; write 'key=value'.")
        here = values
        for part in parts[:-1]:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise UsageError(f"{text!r}: {part!r} was given a plain value before.")
        here[parts[-1]] = read_value(raw, f"command line: {text}")
    return values


def parse_flags(words: Sequence[str]) -> dict[str, Any]:
    """Read "--beta-up 1.2", "--beta-up=1.2" and "--adaptive-block" (true); a flag that comes again makes a list.

    Raises UsageError for a word that is neither a flag nor the value of one.
    """
    found: dict[str, list[Any]] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        name, separator, raw = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise UsageError(f"{word!r} belongs to no option; write settings as '--name value' behind the model.")
        if not separator:
            raw = left.pop(0) if left and not left[0].startswith("--") else "true"
        found.setdefault(name.replace("-", "_"), []).append(read_value(raw, f"command line: --{name}"))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def find_model(path: Path) -> Path:
    """Return the model folder that a path means: itself, that of a stage, or the last one that a run made.

    Raises EnvironmentFault when there is none.
    """
    for candidate in (path, path / "model"):
        if (candidate / COMPONENT_FILE).is_file():
            return candidate
    if (path / "run.json").is_file():
        folder = RunDirectory(path)
        for stage in reversed(folder.record["recipe"]["stages"]):
            record = folder.stage_record(stage["name"])
            if record is not None and "model" in record.artifacts:
                return folder.artifact(stage["name"], "model").path
        raise EnvironmentFault(f"{path} is a run without a model so far; give a run with a finished training stage.")
    reason = f"holds no {COMPONENT_FILE}" if path.exists() else "is not there"
    raise EnvironmentFault(f"{path} {reason}; give a model folder such as RUN_DIR/STAGE/model, or a run directory.")


def evaluate_saved(
    directory: Path,
    registry: Registry,
    evaluator: str,
    settings: Mapping[str, Any],
    data: str | None = None,
    data_settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure the model in a folder. data: by default what it was trained on, with `data_settings` replaced.

    Raises UsageError for unknown components and settings, EnvironmentFault for a damaged model folder.
    """
    from omnitrain.engine.evaluate import measured
    from omnitrain.engine.models import read_component
    from omnitrain.engine.rng import seed_everything

    config = resolve_component(evaluator, "evaluator", settings, registry, "command line")
    stored = read_component(directory)
    with scratch_run(registry, name=STAGE, seed=seed, quiet=False) as run:
        at_model = with_model_source(run, str(directory))
        source, facts = _data(stored.get("data"), data, data_settings or {}, registry, at_model)
        with _loaded(directory, registry, run, facts, source) as predictor:
            measure = registry.builder(registry.component(evaluator, "evaluator"))(config, with_facts(run, facts))
            seed_everything(run.seed("evaluation"))
            return measured(evaluator, measure, predictor, source, run)


def _data(
    stored: Mapping[str, Any] | None, address: str | None, settings: Mapping[str, Any], registry: Registry, run: StageRun
) -> tuple[Data | None, dict[str, Any]]:
    if address is None and stored is None:
        if settings:
            raise UsageError("The model does not say what it was trained on; name the data with --data.")
        return None, {}
    same = stored is not None and address in (None, stored["use"])
    name = stored["use"] if stored is not None and same else str(address)
    values = {**(stored["config"] if stored is not None and same else {}), **settings}
    config = resolve_component(name, "data", values, registry, "command line" if settings else str(name))
    data: Data = registry.builder(registry.component(name, "data"))(config, run)
    if isinstance(data, Prepares):
        data.prepare(run.workspace, run)
    return data, dict(data.facts()) if isinstance(data, TellsFacts) else {}


@contextmanager
def _loaded(
    directory: Path, registry: Registry, run: StageRun, facts: Mapping[str, Any] | None = None, data: Data | None = None
) -> Iterator[Any]:
    """Load a model on the best device, without dropout and gradients, and yield its predictor.

    facts, data: what it is measured on.
    """
    from torch import nn

    from omnitrain.engine.engine import evaluating
    from omnitrain.engine.opening import open_folder
    from omnitrain.engine.rng import isolated

    with isolated(run.seed("model")):
        opened = open_folder(directory, run, registry)
        if facts and isinstance(opened.model, FitsData):
            opened.model.fit_data(with_facts(run, facts), grow=False)
        if isinstance(data, ExtendsModel):
            data.extend(opened.model)
        with evaluating(opened.model) if isinstance(opened.model, nn.Module) else nullcontext():
            yield opened.predictor


@contextmanager
def text_generator(directory: Path, registry: Registry, settings: Mapping[str, Any]) -> Iterator[Answer]:
    """Load the model in a folder once and yield a function from prompts to texts.

    Raises UsageError when the model lacks the ability `generate_text`, does not know a setting or can't use its value.
    """
    from omnitrain.engine.models import read_component

    address = read_component(directory)["use"]
    with scratch_run(registry, name=STAGE, quiet=False) as run, _loaded(directory, registry, run) as predictor:
        if not isinstance(predictor, Generates):
            raise UsageError(
                f"The model {address} in {directory} has no ability 'generate_text' (omnitrain.api.Generates); "
                "measure it with 'omnitrain evaluate' instead."
            )
        generate_text = predictor.generate_text
        chosen, streams = _generation_settings(generate_text, settings, address)

        def answer(prompts: list[str], on_text: OnText | None = None, /) -> list[str]:
            shown = {"on_text": on_text} if streams and on_text is not None else {}
            return generate_text(prompts, **chosen, **shown)

        yield answer


def _generation_settings(
    generate_text: Callable[..., list[str]], settings: Mapping[str, Any], address: str
) -> tuple[dict[str, Any], bool]:
    """Return the settings as the function's parameters have their types, and whether it takes `on_text`."""
    signature = inspect.signature(generate_text)
    try:
        if "on_text" in settings:
            raise TypeError("'on_text' is no setting")
        signature.bind([], **settings)
    except TypeError as error:
        known = ", ".join(name for name in list(signature.parameters)[1:] if name != "on_text")
        raise UsageError(f"The model {address} can't generate like that: {error}. It knows: {known}.") from error
    try:
        hints = get_type_hints(generate_text)
    except NameError:  # annotations that only a type checker can read
        hints = {}
    chosen = {name: _fitting(name, value, hints[name]) if name in hints else value for name, value in settings.items()}
    return chosen, "on_text" in signature.parameters


def _fitting(name: str, value: Any, wanted: Any) -> Any:
    """Return a value as its type wants it; a single one also stands for a list of one.

    Raises UsageError where it is of another type.
    """
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    if isinstance(value, bool) and bool not in (wanted, *get_args(wanted)):
        raise UsageError(f"{name} needs a value, such as '--{name.replace('_', '-')} 1'.")
    try:
        adapter = TypeAdapter(wanted)
    except PydanticUserError:  # a type of the plugin's own
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        try:
            return adapter.validate_python([value])
        except ValidationError:
            reason = error.errors()[0]["msg"].lower()
        raise UsageError(f"{name} {value!r} can't be used: {reason}.") from error
