"""What is exercised: the training stages of the recipe `tiny`, and combinations for components that are not in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnitrain.api import Component, Config, MakesRounds, Prepares, TellsFacts, Use, misfits
from omnitrain.engine.building import ComponentBuilder
from omnitrain.engine.settings import FitConfig
from omnitrain.errors import OmnitrainError, UsageError
from omnitrain.recipes import ResolvedRecipe, plain, resolve, uses
from omnitrain.recipes.reading import Document
from omnitrain.runs import Display, RunDirectory, StageRun, StopRequest

if TYPE_CHECKING:
    from omnitrain_testing.examination import Examination

PARTS = ("data", "model", "objective")
ROWS = 8
NO_PARTNER = "no data, model and objective of tiny or of the given settings go with it"


def open_run(examination: Examination, recipe: ResolvedRecipe, stage: str, folder: Path) -> StageRun:
    """Return what components get to see of a run: that of a stage, in a folder of its own."""
    # What data tells while it prepares is no concern of a check: there is nothing to write it to.
    directory = RunDirectory(folder, writes=False)
    builder = ComponentBuilder(examination.registry, directory, recipe)
    stop = StopRequest()
    display = Display(stop.raise_if_asked, quiet=True)
    return StageRun(stage, directory, recipe.seed, examination.cache, builder, stop, display)


def prepared(run: StageRun, use: Use) -> Any:
    """Build data anew and do its slow work."""
    data = run.build(use)
    if isinstance(data, Prepares):
        data.prepare(run.workspace, run)
    return data


def facts_of(data: Any) -> dict[str, Any]:
    """Return what data tells a model."""
    return dict(data.facts()) if isinstance(data, TellsFacts) else {}


@dataclass
class Subject:
    """Data, model and objective of one training stage. recipe: holds it. kinds: those that are the plugin's own."""

    name: str
    examination: Examination
    recipe: ResolvedRecipe
    stage: str
    kinds: frozenset[str]

    @cached_property
    def config(self) -> FitConfig:
        """The stage's settings."""
        config = self.recipe.stage(self.stage).config
        assert isinstance(config, FitConfig)
        return config

    @cached_property
    def run(self) -> StageRun:
        """The context in which its components are built; for a model of an earlier stage, that of the finished run."""
        folder = self.examination.scratch / f"{self.name.replace('/', '-')}-run"
        if self.config.model.source is not None:
            folder = Path(self.examination.first_run["out"])
        return open_run(self.examination, self.recipe, self.stage, folder)

    @cached_property
    def data(self) -> Any:
        """Its data, prepared."""
        return prepared(self.run, self.config.data)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What its data tells."""
        return facts_of(self.data)

    @cached_property
    def objective(self) -> Any:
        """Its objective."""
        return self.run.build(self.config.objective, self.facts)

    def model(self, stream: str = "model") -> Any:
        """Build its model anew, on the CPU, without dropout. stream: name of the stream of its initial weights."""
        import torch

        from omnitrain.engine import Parts, isolated

        with isolated(self.run.seed(stream)):
            model = self.run.build(self.config.model, self.facts)
        Parts(self.data, model, self.objective).ready(torch.device("cpu"))
        return model.to("cpu").eval()

    @cached_property
    def batches(self) -> list[dict[str, Any]]:
        """Three batches as the data makes them, or as the model makes them for it."""
        if isinstance(self.data, MakesRounds):
            self.data.take_round(0, round_of(self.data, self.model(), 0))
        return take(self.data, self.config.train_split, min(ROWS, self.config.fit.batch_size), self.run.seed("data"), 3)

    @cached_property
    def batch(self) -> dict[str, Any]:
        """One batch as the objective gets it."""
        return tensors(self.batches[0])


@dataclass
class Substituted(Subject):
    """A component that is not in tiny, with the first partners that go with it. choices: settings by kind."""

    choices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @cached_property
    def found(self) -> Subject | None:
        """The first combination whose batch fields fit and whose loss has a gradient."""
        for chosen in product(*(self.choices[kind] for kind in PARTS)):
            subject = combination(self.name, self.examination, dict(zip(PARTS, chosen, strict=True)), self.kinds)
            if subject is not None and _works(subject):
                return subject
        return None


def _works(subject: Subject) -> bool:
    from omnitrain_testing.losses import evaluate

    try:
        if misfits(subject.data.batch, subject.objective.needs):
            return False
        return bool(evaluate(subject.objective, subject.model(), subject.batch).total.requires_grad)
    except Exception:  # a model that was not made for such batches may raise anything; the next one is tried
        return False


def combination(name: str, examination: Examination, chosen: dict[str, Any], kinds: frozenset[str]) -> Subject | None:
    """Return a training stage of the chosen components, or None where their settings are refused."""
    stage = {"name": "train", "use": "core/fit", **chosen, "fit": {"steps": 1, "batch_size": ROWS}}
    try:
        recipe = resolve(Document({"stages": [stage]}, {}), name, examination.registry)
    except OmnitrainError:
        return None
    return Subject(name, examination, recipe, "train", kinds)


def round_of(data: Any, model: Any, number: int) -> list[Any]:
    """Return the rows that a model makes in a round."""
    from omnitrain.engine.rounds import make_part

    return [row for part in range(data.round_parts(number)) for row in make_part(data, model, number, part, seed=0)]


def take(data: Any, split: str, rows: int, seed: int, count: int) -> list[dict[str, Any]]:
    """Return the first batches that training would see."""
    from omnitrain.api import BatchPlan
    from omnitrain.engine import make_feed

    feed = make_feed(data, split, BatchPlan(rows, seed))
    updates = [feed.next() for _ in range(count)]
    return [batches[0] for batches in updates if batches is not None]


def tensors(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch as the objective gets it, on the CPU."""
    import torch

    from omnitrain.engine import to_device

    return to_device(batch, torch.device("cpu"))


def own_use(examination: Examination, run_recipe: ResolvedRecipe, use: Use) -> str | None:
    """Return the address that a data or model field stands for, through `from`, where it is the plugin's own."""
    address = use.use
    here = use
    while here.source is not None:
        stage = run_recipe.stage(here.source.partition("/")[0])
        held = getattr(stage.config, here.kind, None)
        if not isinstance(held, Use):
            return None
        here, address = held, held.use
    return address if address is not None and address.startswith(f"{examination.plugin.name}/") else None


def subjects(examination: Examination) -> tuple[Subject, ...]:
    """Return the combinations of data, model and objective on which the plugin's own ones are exercised."""
    return examination.once("subjects", lambda: tuple(_subjects(examination)))


def _subjects(examination: Examination) -> Iterator[Subject]:
    """Yield the training stages of tiny that hold something of the plugin's own, then what is substituted into them."""
    tiny = examination.tiny
    if tiny is None:
        return
    for stage in tiny.stages:
        if not isinstance(stage.config, FitConfig):
            continue
        kinds = {kind for kind in PARTS if own_use(examination, tiny, getattr(stage.config, kind))}
        if kinds:
            yield Subject(f"tiny/{stage.name}", examination, tiny, stage.name, frozenset(kinds))
    for component in examination.plugin.components:
        settings = None if component.kind not in PARTS else substitute_settings(examination, component)
        if settings is None:
            continue
        use = {"use": f"{examination.plugin.name}/{component.name}", **settings}
        choices = {**_partners(examination), component.kind: [use]}
        if all(choices[kind] for kind in PARTS):
            own = frozenset({component.kind})
            yield Substituted(examination.address(component), examination, tiny, "train", own, choices)


def substitute_settings(examination: Examination, component: Component) -> dict[str, Any] | None:
    """Return the settings of a component beside tiny: those given; none, where it is not in tiny and needs none; or None."""
    given = examination.declared.settings.get(examination.address(component))
    if given is not None:
        return dict(given)
    if (component.kind, f"{examination.plugin.name}/{component.name}") in used_in_tiny(examination):
        return None
    return {} if constructible(examination, component) else None


def constructible(examination: Examination, component: Component) -> bool:
    """Whether the component's settings all have defaults."""
    from pydantic import ValidationError

    try:
        examination.registry.config_class(component).model_validate_json("{}")
    except (OmnitrainError, ValidationError):
        return False
    return True


def used_in_tiny(examination: Examination) -> set[tuple[str, str]]:
    """Return (kind, address) of every component that the recipe tiny names, stages included."""
    tiny = examination.tiny
    if tiny is None:
        return set()
    found = {("stage", stage.use) for stage in tiny.stages}
    return found | {(use.kind, use.use) for stage in tiny.stages for _, use in uses(stage.config) if use.use}


def _partners(examination: Examination) -> dict[str, list[dict[str, Any]]]:
    """Return the components that others can be combined with, by kind: those of tiny, then those with given settings."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in PARTS}
    for stage in examination.tiny.stages if examination.tiny is not None else ():
        for kind in PARTS if isinstance(stage.config, FitConfig) else ():
            use: Use = getattr(stage.config, kind)
            if use.use is not None:
                found[kind].append({"use": use.use, **plain(use.config)})
    for component in examination.plugin.components:
        given = examination.declared.settings.get(examination.address(component))
        if given is not None and component.kind in PARTS:
            found[component.kind].append({"use": f"{examination.plugin.name}/{component.name}", **given})
    return found


@dataclass
class DataSubject:
    """Data of the plugin's own as something uses it. use: the field that holds it, in a recipe's stage."""

    name: str
    examination: Examination
    recipe: ResolvedRecipe
    stage: str
    use: Use
    rows: int = ROWS

    @cached_property
    def run(self) -> StageRun:
        """The context in which it is built."""
        folder = self.examination.scratch / f"{self.name.replace('/', '-')}-run"
        return open_run(self.examination, self.recipe, self.stage, folder)

    @cached_property
    def described(self) -> tuple[str, dict[str, Any]]:
        """Its address and its settings in full."""
        found = self.run.describe_data(self.use)
        if found is None:
            raise UsageError(f"{self.name}: its settings can't be told.")
        return str(found["use"]), dict(found["config"])

    def build(self, config: Config | None = None) -> Any:
        """Build it anew and do its slow work, also that of a model where it makes the rows. config: other settings."""
        data = prepared(self.run, self.use if config is None else use_of(self.described[0], config))
        if isinstance(data, MakesRounds) and (model := self.model()) is not None:
            data.take_round(0, round_of(data, model, 0))
        return data

    def model(self) -> Any:
        """Build the model of the training in which it is used anew, or return None where there is none."""
        users = (subject for subject in subjects(self.examination) if subject.name == self.name)
        user = next(users, None)
        return None if user is None else user.model()

    def unprepared(self, config: Config) -> Any:
        """Build it with other settings, without its slow work."""
        return self.run.build(use_of(self.described[0], config))


def use_of(address: str, config: Config) -> Use:
    """Return a field value that holds data with these validated settings."""
    from omnitrain.api import UseData

    use = UseData(use=address)
    use.resolved(config)
    return use


def data_subjects(examination: Examination) -> tuple[DataSubject, ...]:
    """Return the plugin's own data, each as it is used."""
    return examination.once("data", lambda: tuple(_data_subjects(examination)))


def _data_subjects(examination: Examination) -> Iterator[DataSubject]:
    """Yield data of tiny's stages, then own data inside other components, then data with given settings."""
    seen: set[str] = set()
    tiny = examination.tiny
    nested: dict[str, DataSubject] = {}
    for stage in tiny.stages if tiny is not None else ():
        for path, use in uses(stage.config):
            address = own_use(examination, tiny, use) if tiny is not None and use.kind == "data" else None
            if tiny is None or address is None:
                continue
            if path == ("data",) and isinstance(stage.config, FitConfig):
                rows = min(ROWS, stage.config.fit.batch_size)
                seen.add(address)
                yield DataSubject(f"tiny/{stage.name}", examination, tiny, stage.name, use, rows)
            elif use.source is None:
                nested.setdefault(address, DataSubject(address, examination, tiny, stage.name, use))
    yield from (subject for address, subject in nested.items() if address not in seen)
    for component in examination.plugin.components:
        settings = substitute_settings(examination, component) if component.kind == "data" else None
        if settings is None:
            continue
        address = f"{examination.plugin.name}/{component.name}"
        yield from _alone(examination, component, address, settings)


def _alone(examination: Examination, component: Component, address: str, settings: dict[str, Any]) -> Iterator[DataSubject]:
    """Yield data with given settings; settings that are refused are reported by the check that it is exercised."""
    from omnitrain.recipes import resolve_component

    try:
        config = resolve_component(address, "data", settings, examination.registry, "the given settings")
    except OmnitrainError:
        return
    recipe = ResolvedRecipe("given", "", 0, (), {}, {})
    name = examination.address(component)
    yield DataSubject(name, examination, recipe, "given", use_of(address, config))
