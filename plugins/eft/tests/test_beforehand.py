"""What settings need beside the plugin is known before the run."""

import pytest

from omnitrain.api import UseData
from omnitrain.engine import scratch_run
from omnitrain.errors import DataError, UsageError
from omnitrain_eft.configs.evaluators import FrontierConfig, GridConfig, JudgedConfig, ShiftMapsConfig, ThroughputConfig
from omnitrain_eft.configs.models import ShapedCausalConfig
from omnitrain_eft.data.dialogues import DialoguesData
from omnitrain_eft.evaluators.frontier import Frontier
from omnitrain_eft.evaluators.grid import Grid
from omnitrain_eft.evaluators.judged import JudgedReplies
from omnitrain_eft.evaluators.shift_maps import Shifts
from omnitrain_eft.evaluators.throughput import Throughput


def test_settings_tell_the_extra_that_they_need():
    extra = "omnitrain-eft[eight-bit]"
    assert ShapedCausalConfig(path="a", dtype="int8").needs() == {"accelerate": extra, "bitsandbytes": extra}
    assert ShapedCausalConfig(path="a").needs() == {}


class Split(DialoguesData):
    """Dialogues of which only the splits are known."""

    def __init__(self):
        self.config = None

    def splits(self):
        """Return one."""
        return ["train"]


@pytest.mark.parametrize(
    "evaluator",
    [
        Grid(GridConfig(), 0),
        Shifts(ShiftMapsConfig()),
        Throughput(ThroughputConfig(), 0),
        JudgedReplies(JudgedConfig.model_validate({"judges": [{"name": "words", "kind": "overlap"}]}), 0, 0),
    ],
)
def test_evaluator_refuses_other_data_and_a_split_that_is_not_there(evaluator):
    with pytest.raises(UsageError, match="needs eft/dialogues as its data"):
        evaluator.check_data(None, None)
    with pytest.raises(DataError, match="no split 'valid', only 'train'"):
        evaluator.check_data(Split(), None)


def test_both_data_sets_of_a_frontier_are_looked_at():
    evaluator = Frontier(FrontierConfig(helpful=UseData(use="a/good"), safe=UseData(use="b/bad")))
    for address, sentence in (("a/good", "needs eft/dialogues"), ("b/bad", "needs eft/dialogues")):
        seen = []

        def build(use, facts, seen=seen, address=address):
            seen.append(use.use)
            found = Split()
            found.splits = lambda: ["train", "valid"]
            found.prepare = lambda workspace, run: None
            found.facts = dict
            return object() if use.use == address else found

        with scratch_run(build=build) as run, pytest.raises(UsageError, match=sentence):
            evaluator.check_data(None, run)
        assert seen[-1] == address
