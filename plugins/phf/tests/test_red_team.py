"""Red teaming by rounds: a trial that was killed goes on, and its pool is the one that it would have had."""

from types import SimpleNamespace

import pytest
import torch

from omnitrain.engine import Ledger
from omnitrain_phf.configs.evaluators import RedTeamConfig
from omnitrain_phf.evaluators import red_team as red_teaming
from omnitrain_phf.evaluators.red_team import RedTeam

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
def team(predictor, make_context, tmp_path, monkeypatch):
    """Return a function that red-teams the model into a folder; it returns the finding and the files of rounds."""
    context = make_context()
    scores = SimpleNamespace(lengths=lambda texts: [len(set(text)) / 100 for text in texts])
    monkeypatch.setitem(__import__("sys").modules, "test_red_team_scores", scores)
    monkeypatch.setattr(red_teaming, "other_predictor", lambda use, run, device: predictor)

    def run(folder):
        def ledger(name):
            return Ledger(tmp_path / folder / name)

        stage = SimpleNamespace(seed=context.seed, progress=context.progress, ledger=ledger)
        evaluation = RedTeam(RedTeamConfig.model_validate(SETTINGS))(predictor, None, stage)
        return evaluation, {path.parent.name: path.read_bytes() for path in (tmp_path / folder).rglob("items.jsonl")}

    return run


def test_killed_trial_goes_on_with_the_pool_that_it_would_have_had(team, monkeypatch):
    expected, pools = team("whole")
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


def test_damaged_round_is_measured_again_and_changes_nothing(team, tmp_path):
    expected, rounds = team("whole")
    (place,) = (tmp_path / "whole").rglob("items.jsonl")
    lines = place.read_bytes().splitlines(keepends=True)
    place.write_bytes(b"".join([*lines[:2], lines[2][:30] + b"\n", *lines[3:6], lines[6][:20]]))
    found, again = team("whole")
    assert found.metrics == expected.metrics
    assert set(again) == set(rounds)
    place.write_bytes(b"")
    assert team("whole") == (expected, rounds)


def test_models_with_other_weights_share_no_rounds(team, predictor):
    team("both")
    with torch.no_grad():
        next(predictor.model.parameters()).mul_(2)
    _, rounds = team("both")
    assert len(rounds) == 2
