"""Stage `language/generate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from omnitrain.api import Evaluation, Run, Sample, Table
from omnitrain.errors import DataError, UsageError
from omnitrain_language.configs.stages import GenerateConfig
from omnitrain_language.folders import find_files, tell_files
from omnitrain_language.generating import generating_model
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_language.records import RECORDS, Problems, read_fields
from omnitrain_language.sampling import GenerationSettings
from omnitrain_language.saved_settings import read_saved, saved_settings
from omnitrain_language.writing import Writing, by_length

_SHOWN = 5
PROMPT, TEXT = "prompt", "text"


@runtime_checkable
class HasRecords(Protocol):
    """Data that give inputs and targets as text."""

    def records(self, split: str) -> Any:
        """Yield {"inputs", "targets"}."""


def read_prompts(config: GenerateConfig, run: Run) -> list[dict[str, str]]:
    """Return records with the field "prompt" and what is kept beside it.

    Raises DataError for malformed records and where there is none, UsageError for data that are no pairs.
    """
    if config.data is not None:
        data = run.build(config.data)
        if not isinstance(data, HasRecords):
            raise UsageError(f"{run.name}.data: expected pairs, such as language/pairs, whose inputs are the prompts")
        return [{PROMPT: record["inputs"], "targets": record["targets"]} for record in data.records(config.split)]
    assert config.path is not None
    tell_files(config.path, RECORDS, run)
    problems, found = Problems(refuse=config.malformed == "refuse"), []
    for file in find_files(config.path, RECORDS):
        for _, record in read_fields(file, [config.field, *config.keep], problems):
            found.append({PROMPT: record[config.field], **{name: record[name] for name in config.keep}})
    problems.pass_ended()
    if not found:
        raise DataError(f"{config.path}: there is no prompt in it; expected records with a field {config.field!r}")
    return found


class Generate:
    """Stage `language/generate`."""

    def __call__(self, config: GenerateConfig, run: Run) -> None:
        """Write the artifact "texts", lines of {"prompt", "text"} in the order of the prompts, which `language/pairs` reads.

        Batches are planned over all prompts and kept whole in a ledger, so that a job that was killed ends with the same
        bytes. Raises UsageError for a model that can't write, and Stopped between two batches on request.
        """
        opened = run.open(config.model, device=config.device)
        predictor = opened.predictor
        if not isinstance(predictor, LanguagePredictor) or generating_model(predictor.model) is None:
            raise UsageError(f"{run.name}.model: {opened.address} is no language model that writes by itself; name one")
        records = read_prompts(config, run)
        asked = _asked(config)
        settings = predictor.settings(seed=run.seed("texts"), **asked)
        writing = Writing(predictor, settings, config.begin, config.skip_special_tokens)
        rows = writing.encode([config.prefix + record[PROMPT] for record in records])
        ledger = run.ledger("written")
        with run.progress("generate", len(rows)) as bar:
            for places in by_length([len(row) for row in rows], config.batch_size):
                if not all(str(place) in ledger for place in places):
                    run.stop_if_asked()
                    for place, texts in writing.write(rows, places).items():
                        ledger.add(str(place), texts)
                bar.advance(len(places))
        fields = {"inputs_field": PROMPT, "targets_field": TEXT}
        with run.artifact("texts", "data", folder=True, use="language/pairs", config=fields) as folder:
            _write(folder / "texts.jsonl", records, ledger, settings.samples)
        run.report("texts", _evaluation(records, ledger, settings, asked, saved_settings(predictor.model)))

    def plan(self, config: GenerateConfig, run: Run) -> Sequence[str]:
        """Count the prompts and tell what the model brings for generation, where it is there already."""
        if config.data is not None and config.data.source is not None:
            lines = ["prompts are those of an earlier stage"]
        else:
            texts = "1 text" if config.samples == 1 else f"{config.samples} texts"
            lines = [f"{len(read_prompts(config, run)):,} prompts, {texts} each"]
        source = run.model_source
        file = None if source is None else Path(source) / "generation_config.json"
        if file is not None and file.is_file():
            taken = read_saved(json.loads(file.read_text("utf-8")))
            asked = _asked(config)
            named = ", ".join(f"{name} {value}" for name, value in taken.items() if name not in asked)
            lines.append(f"taken from the model's generation_config.json: {named or 'nothing'}")
        return lines


def _asked(config: GenerateConfig) -> dict[str, Any]:
    given = {**config.asked(), "samples": config.samples, "max_new_tokens": config.max_new_tokens}
    given.pop("skip_special_tokens", None)
    return {name: value for name, value in given.items() if value is not None}


def _write(file: Path, records: Sequence[Mapping[str, str]], ledger: Any, samples: int) -> None:
    with file.open("w", encoding="utf-8") as out:
        for place, record in enumerate(records):
            for sample, text in enumerate(ledger[str(place)]):
                numbered = {"sample": sample} if samples > 1 else {}
                out.write(json.dumps({**record, TEXT: text, **numbered}, ensure_ascii=False) + "\n")


def _evaluation(
    records: Sequence[Mapping[str, str]],
    ledger: Any,
    settings: GenerationSettings,
    asked: Mapping[str, Any],
    saved: Mapping[str, Any],
) -> Evaluation:
    """Return the first texts, and each setting with where it is from."""
    values = {name: value for name, value in asdict(settings).items() if name not in ("seed", "banned_ids")}
    values |= {name: value for name, value in saved.items() if name not in values}
    origin = {name: "the recipe" if name in asked else "the model" if name in saved else "default" for name in values}
    rows: list[list[Any]] = [[name, str(value), origin[name]] for name, value in values.items()]
    samples = [
        Sample({PROMPT: record[PROMPT], **{f"text {n}" if n else TEXT: t for n, t in enumerate(ledger[str(place)])}})
        for place, record in enumerate(records[:_SHOWN])
    ]
    return Evaluation(tables={"settings": Table(("setting", "value", "from"), rows)}, samples={"texts": samples})


generate = Generate()
