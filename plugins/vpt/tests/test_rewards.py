"""What pays."""

import pytest

from omnitrain_vpt.paper.rewards import DIAMOND_PICKAXE, ItemRewards


def test_items_pay_once_up_to_their_quantity():
    rewards = ItemRewards()
    assert sum(rewards({"log": count}) for count in (0, 5, 3, 9)) == pytest.approx(8 * 1 / 8)
    rewards.reset()
    assert rewards({"torch": 1}) == pytest.approx(1 / 8)
    assert rewards({"torch": 0}) + rewards({"torch": 1}) == 0
    assert rewards({"diamond": 2}) == pytest.approx(2 * 8 / 3)
    assert rewards({"diamond": 3, "dirt": 50}) == pytest.approx(8 / 3)
    assert DIAMOND_PICKAXE["iron_ore"] == (3, 4.0)
