"""Logits of all members over given texts."""

import numpy as np
import pytest
import torch
from helpers import FACTS, config, gpt2, with_lora

from omnitrain_eft.evaluators.teacher_forcing import batches_of, improvement, member_logits
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.paper.composition import implicit_reward, token_log_probs


def test_lora_on_the_large_model_is_a_row_of_the_grid():
    members = {"large": gpt2(1, 16, 0), "expert-0": with_lora(gpt2(1, 16, 1)), "large-lora": with_lora(gpt2(1, 16, 0), 5)}
    model = CompositionModel(config(large_lora={"use": "eft/causal"}), members, FACTS)
    batch = {"input_ids": torch.tensor([[3, 4, 5]]), "attention_mask": torch.ones(1, 3, dtype=torch.bool)}
    arms = member_logits(model, batch).arms(model.dials)
    assert list(arms) == ["small base", "large base", "small fine-tuned", "large LoRA", "up-scaled"]
    with torch.no_grad():
        torch.testing.assert_close(arms["large LoRA"], members["large-lora"](**batch).logits)


def test_scoring_in_one_pass_equals_the_log_probabilities_step_by_step(adapted):
    text = torch.tensor([[4, 9, 12, 3, 7, 22]])
    with torch.no_grad():
        whole = token_log_probs(adapted(text).logits[:, :-1], text[:, 1:])
    decoder = CompositionDecoder(adapted.ensemble(), adapted.dials)
    z = [decoder.start([[4]])]
    z += [decoder.step(text[:, i]) for i in range(1, 5)]
    stepwise = torch.stack([row.log_softmax(-1)[0, text[0, i + 1]] for i, row in enumerate(z)])
    torch.testing.assert_close(whole[0], stepwise, rtol=1e-4, atol=1e-4)
    ensemble = adapted.ensemble()
    with torch.no_grad():
        expert, base = (ensemble.small[i](input_ids=text, use_cache=False).logits[:, :-1] for i in (0, 1))
    reward = implicit_reward(expert, base, text[:, 1:])
    small = token_log_probs(expert, text[:, 1:]).sum() - token_log_probs(base, text[:, 1:]).sum()
    torch.testing.assert_close(reward[0], small)


@pytest.mark.parametrize(("rows", "sizes"), [(None, [3, 3, 2]), (5, [3, 2]), (6, [3, 3]), (99, [3, 3, 2])])
def test_so_many_dialogues_are_read_in_order_and_the_last_batch_is_cut_to_them(dialogues, rows, sizes):
    batches = list(batches_of(dialogues, "valid", rows, 3))
    assert [len(batch["input_ids"]) for batch in batches] == sizes
    assert torch.cat([batch["example_ids"] for batch in batches]).tolist() == list(range(sum(sizes)))
    last = dialogues.gather("valid", batches[-1]["example_ids"].numpy())
    assert torch.equal(last["input_ids"], batches[-1]["input_ids"])


def test_improvement_is_the_recovered_share_of_the_gap_between_the_tuned_models():
    generator = np.random.default_rng(0)
    counts = generator.integers(3, 9, 20).astype(float)
    small, large = 5.0 * counts + generator.normal(size=20), 3.0 * counts + generator.normal(size=20)
    half = (small + large) / 2
    found = improvement([(arm, counts) for arm in (half, small, large)], 7)
    assert found.value == pytest.approx(0.5)
    assert found.interval == pytest.approx((0.5, 0.5))
    assert found.n == 20
    assert improvement([(half, counts), (small, counts), (small, counts)], 7) is None
