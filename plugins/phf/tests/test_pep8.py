"""PEP 8 violations by line and by document, whatever config the user has."""

import pycodestyle

from omnitrain_phf.configs.scorers import (
    PycodestyleConfig,
)
from omnitrain_phf.scorers.make import make_scorer
from omnitrain_phf.scorers.pep8 import Pep8Scorer
from omnitrain_phf.scorers.segments import split_lines


def test_users_own_pycodestyle_config_changes_nothing(tmp_path, monkeypatch):
    own = tmp_path / "pycodestyle"
    own.write_text("[pycodestyle]\nignore = E,W\nmax-line-length = 200\n")
    text = "import os, sys\nx = 1 \n"
    before = make_scorer(PycodestyleConfig()).score([text])
    monkeypatch.setattr(pycodestyle, "USER_CONFIG", str(own))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.cfg").write_text("[pycodestyle]\nignore = E,W\n")
    assert make_scorer(PycodestyleConfig()).score([text]) == before
    assert before[0] > 0
    assert str(own) == pycodestyle.USER_CONFIG


def test_selected_codes_only_are_counted():
    text = "import os, sys\nx = 1 \n"
    assert make_scorer(PycodestyleConfig(select=["W2"])).score([text]) == [1 / len(text)]


def test_violation_behind_the_end_counts_on_the_last_line_or_clears_all():
    lines = split_lines("x=1\ny = (\n")
    kept = Pep8Scorer(PycodestyleConfig()).score_segments(lines)
    cleared = Pep8Scorer(PycodestyleConfig(past_end="zero")).score_segments(lines)
    assert kept[0] > 0
    assert kept[1] > 0
    assert cleared == [0.0, 0.0]
