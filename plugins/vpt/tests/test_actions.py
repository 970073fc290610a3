"""Scores of predicted actions."""

import json

import numpy as np
import pytest

from omnitrain_vpt.evaluators.actions import action_metrics, action_nll, key_scores
from omnitrain_vpt.paper.actions import CAMERA


def test_scores_stand_beside_always_null():
    buttons = np.zeros((10, 20), np.uint8)
    buttons[:4, 0] = 1
    guessed = np.zeros_like(buttons)
    guessed[:2, 0] = 1
    guessed[5, 0] = 1
    scores = key_scores(buttons, guessed)["attack"]
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["recall"] == 0.5
    assert scores["f1"] == pytest.approx(4 / 7)
    camera = np.full((10, 2), 5)
    camera[3] = [6, 8]
    found = action_metrics((buttons, camera), CAMERA.decode(camera), (guessed, camera)).metrics
    assert found["camera_r2"].value == pytest.approx(1.0)
    assert found["always_null_accuracy"].value == pytest.approx(1 - 4 / 200)
    assert found["keypress_accuracy"].value == pytest.approx(1 - 3 / 200)
    assert found["active_accuracy"].value == 0.5
    json.dumps({name: metric.value for name, metric in found.items()})


def test_likelihood_is_that_of_every_button_and_axis():
    buttons, bins = np.zeros((3, 20), np.uint8), np.full((3, 2), 5)
    buttons[1, 0] = 1
    even = (np.full((3, 20, 2), np.log(0.5)), np.full((3, 2, 11), np.log(1 / 11)))
    assert action_nll(even, (buttons, bins)) == pytest.approx(3 * (20 * np.log(2) + 2 * np.log(11)))
    even[0][1, 0] = np.log([0.9, 0.1])
    assert action_nll(even, (buttons, bins)) == pytest.approx(3 * (20 * np.log(2) + 2 * np.log(11)) + np.log(5))
