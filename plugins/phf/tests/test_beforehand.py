"""What settings need beside the plugin is known before the run."""

from types import SimpleNamespace

import pytest

from omnitrain.api import UseModel
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_phf.configs.data import ScoredTextConfig
from omnitrain_phf.configs.evaluators import (
    ClassificationConfig,
    CleanNllConfig,
    GenerationScenarioConfig,
    KlConfig,
    LastWordConfig,
    MisalignmentConfig,
    PassAtKConfig,
    RedTeamConfig,
    ValuesConfig,
)
from omnitrain_phf.configs.scorers import DetoxifyConfig
from omnitrain_phf.configs.stages import ScoreConfig
from omnitrain_phf.evaluators.classification import Classification
from omnitrain_phf.evaluators.clean_nll import CleanNll
from omnitrain_phf.evaluators.kl import Kl
from omnitrain_phf.evaluators.last_word import LastWord
from omnitrain_phf.evaluators.misalignment import Misalignment
from omnitrain_phf.evaluators.pass_at_k import PassAtK
from omnitrain_phf.evaluators.red_team import RedTeam
from omnitrain_phf.evaluators.values import Values


def test_settings_tell_the_extra_that_they_need():
    parquet = {"pyarrow": "omnitrain-phf[parquet]"}
    assert ScoredTextConfig(path="hub:owner/name").needs() == {"datasets": "omnitrain-phf[hub]"}
    assert ScoredTextConfig(path="a.parquet").needs() == ScoreConfig(path="a.parquet").needs() == parquet
    assert ClassificationConfig(path="a.parquet").needs() == parquet
    assert ClassificationConfig().needs() == ScoreConfig().needs() == ScoredTextConfig(score=ScoreConfig()).needs() == {}
    assert DetoxifyConfig().needs() == {"detoxify": "omnitrain-phf[detoxify]"}


@pytest.mark.parametrize("evaluator", [CleanNll(CleanNllConfig()), Values(ValuesConfig())])
def test_evaluator_refuses_data_without_its_split_or_scores(evaluator):
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        evaluator.check_data(SimpleNamespace(splits=lambda: ["train"], batch={"token_scores": "float[batch, length]"}), None)
    with pytest.raises(UsageError, match="needs data with token_scores"):
        evaluator.check_data(SimpleNamespace(splits=lambda: ["train", "valid"], batch={}), None)


ATTACKER = UseModel(use="language/causal")


@pytest.mark.parametrize(
    ("build", "line", "sentence"),
    [
        (lambda path: LastWord(LastWordConfig(path=path)), '{"text": "word"}', "has no text of two words or more"),
        (
            lambda path: Classification(ClassificationConfig(path=path)),
            '{"inputs": "a", "targets": "b"}',
            "1 examples of 1 c",
        ),
        (lambda path: PassAtK(PassAtKConfig(path=path, run_generated_code=True)), '{"task_id": "a"}', "prompt"),
        (
            lambda path: Misalignment(MisalignmentConfig(scenarios=[GenerationScenarioConfig(prompts=path)])),
            '{"text": 3}',
            "text",
        ),
        (lambda path: RedTeam(RedTeamConfig(attacker=ATTACKER, prompts=path)), "{}", "text"),
        (lambda path: Kl(KlConfig(texts=path)), '{"text": "a", "logprob": "b"}', "a finite number"),
    ],
)
def test_files_of_evaluators_are_read_before_the_run(build, line, sentence, tmp_path):
    with scratch_run() as run:
        with pytest.raises(DataError, match=r"no such file|No such file|does not exist"):
            build(str(tmp_path / "none.jsonl")).check_data(None, run)
        (tmp_path / "a.jsonl").write_text(line + "\n")
        with pytest.raises(DataError, match=sentence):
            build(str(tmp_path / "a.jsonl")).check_data(None, run)
