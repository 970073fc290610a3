"""A key that is not there is told before anything is trained, whichever settings of whichever stage name it."""

import json
from types import SimpleNamespace

import pytest

from omnitrain.api import Config
from omnitrain.cli.failures import guarded
from omnitrain.engine.beforehand import check_machine
from omnitrain.errors import EnvironmentFault
from omnitrain_language.configs.chat import ChatConfig
from omnitrain_language.configs.objectives import CausalNllConfig

SENTENCE = (
    "key_variable: the environment variable A_KEY holds no key: set it, or leave key_variable out for a server without keys."
)


class Explain(Config):
    """Settings of a stage that asks a teacher."""

    teachers: list[ChatConfig]


def stage(**settings):
    chat = ChatConfig(kind="endpoint", url="https://a.org/v1", name="teacher", **settings)
    return SimpleNamespace(name="explain", config=Explain(teachers=[chat]))


def test_settings_anywhere_in_a_stage_are_asked_for_their_key(monkeypatch):
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(EnvironmentFault) as raised:
        check_machine(stage(key_variable="A_KEY"))
    assert str(raised.value) == f"explain.teachers.0.{SENTENCE}"
    check_machine(stage())
    monkeypatch.setenv("A_KEY", "secret")
    check_machine(stage(key_variable="A_KEY"))


@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["run", "dry run"])
def test_a_key_that_a_later_stage_lacks_ends_the_run_before_the_first_trains(tmp_path, capsys, monkeypatch, dry):
    monkeypatch.delenv("A_KEY", raising=False)
    asks = {"first": stage().config, "later": stage(key_variable="A_KEY").config}

    def check(config):
        asks["later" if config.z_loss else "first"].teachers[0].check_machine()

    monkeypatch.setattr(CausalNllConfig, "check_machine", check, raising=False)
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": f"one {i} two {i} three"}) + "\n" for i in range(40)))
    text = {"use": "language/text", "path": str(tmp_path / "a.jsonl"), "valid_fraction": 0.3, "test_fraction": 0.3}
    data = {"use": "language/blocks", "text": text, "tokenizer": {"vocabulary_size": 300}, "length": 8}
    fit = {"use": "core/fit", "data": data, "model": {"use": "language/causal", "size": "tiny"}, "fit": {"steps": 1}}
    stages = [{"name": "first", **fit, "objective": "language/causal-nll"}]
    stages.append({"name": "later", **fit, "objective": {"use": "language/causal-nll", "z_loss": 1e-4}})
    (tmp_path / "r.yaml").write_text(json.dumps({"summary": "A test.", "stages": stages}))
    assert guarded(["run", str(tmp_path / "r.yaml"), "--out", str(tmp_path / "run"), "--quiet", *dry]) == 5
    told = capsys.readouterr()
    assert f"later.objective.{SENTENCE}" in told.out + told.err
