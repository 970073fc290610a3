"""Evaluator `phf/pass-at-k`: programming problems in the format of HumanEval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from omnitrain.api import Context, Evaluation, Metric, Run, Sample, Table, user_path
from omnitrain.errors import DataError, UsageError
from omnitrain_language.records import Problems, read_fields
from omnitrain_phf.configs.evaluators import PassAtKConfig
from omnitrain_phf.evaluators.sandbox import Limits, run_programs
from omnitrain_phf.models.writing import WritingSettings, banned_ids, condition_text, texts_of, write, writer
from omnitrain_phf.paper.scenarios import clean
from omnitrain_phf.paper.text_metrics import pass_at_k

# A program ends where something begins that is no part of the function (arXiv 2107.03374, section 2).
STOPS = ("\nclass ", "\ndef ", "\n#", "\n@", "\nif ", "\nprint(")
FIELDS = ["task_id", "prompt", "test", "entry_point"]


class Problem(NamedTuple):
    """prompt: beginning of the program. test: text that defines check(candidate). entry_point: the function's name."""

    task_id: str
    prompt: str
    test: str
    entry_point: str


BUILTIN = (
    Problem("one", "def one():\n    ", "def check(f):\n    assert f() == 1\n", "one"),
    Problem("same", "def same(x):\n    ", "def check(f):\n    assert f(3) == 3\n    assert f('a') == 'a'\n", "same"),
    Problem("add", "def add(a, b):\n    ", "def check(f):\n    assert f(2, 3) == 5\n", "add"),
)


def read_problems(path: str) -> list[Problem]:
    """Return the problems of a .jsonl file.

    Raises DataError for one without any, or with records that lack a field.
    """
    if path == "builtin":
        return list(BUILTIN)
    place = user_path(path)
    if not place.is_file():
        raise DataError(f"problems {path}: no such file; expected JSON lines with {', '.join(FIELDS)}")
    found = [Problem(**record) for _, record in read_fields(place, FIELDS, Problems(refuse=True))]
    if not found:
        raise DataError(f"problems {path}: holds none")
    return found


def cut_program(continuation: str) -> str:
    """Return a continuation up to where the function ends."""
    ends = [place for stop in STOPS if (place := continuation.find(stop)) >= 0]
    return continuation[: min(ends, default=len(continuation))]


def program(problem: Problem, continuation: str) -> str:
    """Return what is run: the program and its test."""
    return f"{problem.prompt}{cut_program(continuation)}\n\n{problem.test}\ncheck({problem.entry_point})\n"


class PassAtK:
    """Writes programs, runs them, and estimates the chance that one of k is right."""

    def __init__(self, config: PassAtKConfig) -> None:
        if not config.run_generated_code:
            raise UsageError(
                "phf/pass-at-k runs programs that the model writes; set run_generated_code: true if you accept that, best in a "
                "container"
            )
        self.config = config

    def check_data(self, data: Any, run: Run, /) -> None:
        """See `omnitrain.api.ChecksData`: its problems are read."""
        read_problems(self.config.path)

    def __call__(self, predictor: Any, data: Any, run: Run, /) -> Evaluation:
        """Return pass@k, mean over problems.

        Raises UsageError for a k above the number of samples.
        """
        config, model = self.config, writer(predictor, "phf/pass-at-k")
        problems = read_problems(config.path)
        limits = Limits(config.timeout_s, config.memory_mib * 2**20)
        prefix = condition_text(model, config.condition, config)
        eos = str(model.tokenizer.eos_token)
        counts: list[int] = []
        outcomes: Counter[str] = Counter()
        samples = []
        with run.progress("solve problems", len(problems)) as progress:
            for number, problem in enumerate(problems):
                settings = WritingSettings(
                    max_length=config.max_length,
                    temperature=config.temperature,
                    top_p=config.top_p,
                    banned_ids=banned_ids(model, config.ban, config),
                    batch_size=config.batch_size,
                    seed=run.seed(f"problem {number}"),
                )
                inputs = [prefix + problem.prompt] * config.samples
                raws = texts_of(model, inputs, write(model, inputs, settings))
                texts = [clean(raw, eos, (config.aligned, config.misaligned)) for raw in raws]
                found = run_programs([program(problem, text) for text in texts], limits, config.processes)
                outcomes.update(found)
                counts.append(found.count("passed"))
                samples.append(Sample({"problem": problem.prompt, "program": cut_program(texts[0]), "outcome": found[0]}))
                progress.advance()
        return self._evaluation(problems, counts, outcomes, samples[:5])

    def _evaluation(
        self, problems: Sequence[Problem], counts: Sequence[int], outcomes: Counter[str], samples: Sequence[Sample]
    ) -> Evaluation:
        config = self.config
        metrics = {}
        for k in config.ks:
            chances = [pass_at_k(config.samples, count, k) for count in counts]
            metrics[f"pass@{k}"] = Metric(sum(chances) / len(chances), len(chances), "higher")
        for name in ("passed", "failed", "timed out"):
            metrics[name] = Metric(outcomes[name], outcomes.total())
        rows = [[problem.task_id, count, config.samples] for problem, count in zip(problems, counts, strict=True)]
        return Evaluation(metrics, {"problems": Table(("problem", "right", "samples"), rows)}, {"programs": samples})


def build(config: PassAtKConfig, context: Context) -> PassAtK:
    """Make the evaluator `phf/pass-at-k`."""
    return PassAtK(config)
