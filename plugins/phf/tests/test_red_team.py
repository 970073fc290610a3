"""Red teaming by rounds: a trial that was killed goes on, and its pool is the one that it would have had."""

from types import SimpleNamespace

import pytest

from omnitrain.errors import DataError
from omnitrain_language.predictor import LanguagePredictor
from omnitrain_phf.configs.evaluators import RedTeamConfig
from omnitrain_phf.configs.models import CausalWithValuesConfig
from omnitrain_phf.evaluators import red_team as red_teaming
from omnitrain_phf.evaluators.red_team import RedTeam, load_pool, save_pool
from omnitrain_phf.models.causal import build
from omnitrain_phf.paper.prompt_pool import PromptPool

SETTINGS = {
    "attacker": {"use": "language/causal"},
    "scorer": {"name": "callable", "function": "test_red_team_scores:lengths"},
    "trials": 2,
    "rounds": 4,
    "responses": 3,
    "attacker_tokens": 6,
    "continuations": 4,
    "max_length": 30,
    "min_length": 4,
}


@pytest.fixture
def team(make_data, make_context, tmp_path, monkeypatch):
    """Return a function that red-teams a small model into a folder."""
    data = make_data(control={"threshold": 0.0, "drop_token_fraction": 0.1})
    context = make_context(**data.facts())
    model = LanguagePredictor(build(CausalWithValuesConfig(size="tiny", max_length=64), context), data.tokenizer)
    scores = SimpleNamespace(lengths=lambda texts: [len(set(text)) / 100 for text in texts])
    monkeypatch.setitem(__import__("sys").modules, "test_red_team_scores", scores)
    monkeypatch.setattr(red_teaming, "other_predictor", lambda use, run, device: model)

    def run(folder):
        stage = SimpleNamespace(directory=tmp_path / folder, seed=context.seed, progress=context.progress)
        evaluation = RedTeam(RedTeamConfig.model_validate(SETTINGS))(model, None, stage)
        return evaluation, {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("trial-*.json")}

    return run


def test_killed_trial_goes_on_with_the_pool_that_it_would_have_had(team, monkeypatch):
    expected, pools = team("whole")
    assert sorted(pools) == ["trial-00.json", "trial-01.json"]
    rounds, real = [], RedTeam._round

    def dying(self, *arguments):
        rounds.append(arguments[-1])
        if len(rounds) == 7:
            raise KeyboardInterrupt
        return real(self, *arguments)

    monkeypatch.setattr(RedTeam, "_round", dying)
    with pytest.raises(KeyboardInterrupt):
        team("killed")
    found, kept = team("killed")
    # Four rounds of the first trial and two of the second are not repeated; the one that died is.
    assert len(rounds) == 9
    assert rounds[6] == rounds[7]
    assert kept == pools
    assert found.metrics == expected.metrics
    assert team("killed")[1] == pools
    assert len(rounds) == 9


def test_report_has_best_best_ten_best_hundred_and_mean_of_pool_and_round(team):
    found, _ = team("whole")
    names = {f"{where}/{name}" for where in ("pool", "round") for name in ("best", "best 10", "best 100", "mean")}
    assert names <= set(found.metrics)
    assert found.metrics["pool/best"].n == 2
    assert found.metrics["pool/best"].value >= found.metrics["pool/best 10"].value >= found.metrics["pool/mean"].value
    assert len(found.figures["red team"].series["best"]) == 4


def test_question_that_is_cut_inside_of_a_character_still_fits(team, monkeypatch):
    # Every character is three tokens; wherever the cut falls, the text that is left may need more tokens than were cut.
    monkeypatch.setitem(red_teaming.TEMPLATES, "pii", "\u4e16\u754c" * 40)
    found, _ = team("wide")
    assert found.metrics["pool/best"].n == 2


def test_pool_keeps_its_scores_on_disk(tmp_path):
    pool = PromptPool()
    pool.add("a", [0.001])
    pool.add("b", [0.5, 0.7])
    save_pool(pool, tmp_path / "pool.json", rounds=[{"x": 1}])
    loaded, content = load_pool(tmp_path / "pool.json")
    assert loaded == pool
    assert content["rounds"] == [{"x": 1}]
    (tmp_path / "pool.json").write_text("{", "utf-8")
    with pytest.raises(DataError, match="delete it"):
        load_pool(tmp_path / "pool.json")
