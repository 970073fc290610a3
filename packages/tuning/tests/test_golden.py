"""Vectors of L2M's official code (arXiv 2306.14884): penalties, low-rank updates by example, numbers of curves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.consolidation import Consolidation
from omnitrain_tuning.curves import final_scores, forgotten, interquartile_mean, scores_when_learned, transferred
from omnitrain_tuning.lowrank import LowRankPet

GOLDEN = Path(__file__).parent / "golden"


def read(name):
    return json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))


def cases(name):
    return read(name)["cases"]


def tensors(values):
    return [torch.tensor(value, dtype=torch.float64) for value in values.values()]


@pytest.mark.parametrize("case", cases("ewc_penalty"))
def test_penalties_of_tasks_are_held_apart_or_the_last_alone(case):
    given = case["input"]
    parameters = [torch.nn.Parameter(p) for p in tensors(given["parameters"])]
    # Importances are made from gradients elsewhere; here they are given.
    tasks = sorted(given["saved"], key=int)
    kept = "each" if given["mode"] == "separate" else "last"
    tasks = tasks[: given["current_task"]] if kept == "each" else [str(given["current_task"] - 1)]
    held = Consolidation(parameters, given["ewc_lambda"], factor=1.0, kept=kept)
    state = {"fisher": [tensors(given["importances"][t]) for t in tasks], "anchor": [tensors(given["saved"][t]) for t in tasks]}
    held.load_state_dict(state)
    assert held.penalty().item() == pytest.approx(case["output"], rel=1e-5)


@pytest.mark.parametrize("case", cases("continual_world_metrics"))
def test_numbers_of_curves(case):
    given, expected = case["input"], case["output"]
    scores, each = given["success_per_seed_eval_task"], given["evals_per_task"]
    alone = list(given["single_task_baseline_success_per_task_seed_eval"].values())
    found = {
        "final_success_per_seed_task": final_scores(scores, each),
        "success_at_end_of_own_training_per_seed_task": scores_when_learned(scores, each),
        "average_performance": final_scores(scores, each).mean(),
        "average_forgetting": forgotten(scores, each).mean(),
        "forward_transfer_total_normalized": transferred(scores, each, alone).mean(),
        "forward_transfer_total": transferred(scores, each, alone, normalised=False).mean(),
        "forward_transfer_per_task_normalized": transferred(scores, each, alone),
    }
    assert set(found) == set(expected)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("case", cases("iqm"))
def test_interquartile_means(case):
    assert interquartile_mean(case["input"]) == pytest.approx(case["output"]["iqm"], abs=1e-12)


class DecisionTransformer:
    """The vectors' backbone: tokens s, R, a_1.., r of each step through GPT-2, as far as logits of actions need it."""

    def __init__(self):
        self.w = {name: torch.tensor(value, dtype=torch.float64) for name, value in read("mddt_forward")["weights"].items()}
        rows, width = self.w["encoder.wpe.weight"].shape
        config = transformers.GPT2Config(
            vocab_size=1, n_positions=rows, n_embd=width, n_layer=2, n_head=2, activation_function="gelu"
        )
        self.encoder = transformers.GPT2Model(config).double().eval()
        own = {n.removeprefix("encoder."): v for n, v in self.w.items() if n.startswith("encoder.")}
        self.encoder.load_state_dict(own)

    def linear(self, name, x):
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def logits(self, given):
        states, actions, rewards, returns = (
            torch.tensor(given[name], dtype=torch.float64) for name in ("states", "actions", "rewards", "returns_to_go")
        )
        mask = torch.tensor(given["attention_mask"])
        bins = len(self.w["embed_action_disc.weight"]) - 1
        tokens = ((actions + 1) / (2 / bins)).trunc().clamp(0, bins - 1).long()
        tokens[mask == 0] = bins
        time = self.w["embed_timestep.weight"][torch.tensor(given["timesteps"])][:, :, None]
        parts = [
            self.linear("embed_state", states)[:, :, None],
            self.linear("embed_return", returns)[:, :, None],
            self.w["embed_action_disc.weight"][tokens],
            self.linear("embed_rewards", rewards)[:, :, None],
        ]
        step = F.layer_norm(torch.cat(parts, dim=2) + time, time.shape[-1:], self.w["embed_ln.weight"], self.w["embed_ln.bias"])
        batch, steps, count, width = step.shape
        hidden = self.encoder(
            inputs_embeds=step.view(batch, -1, width),
            attention_mask=mask.repeat_interleave(count, dim=1),
            position_ids=torch.zeros(batch, steps * count, dtype=torch.long),
        ).last_hidden_state.view(batch, steps, count, width)
        return self.linear("action_net.0", hidden[:, :, 1 : 1 + actions.shape[-1]])


@pytest.mark.parametrize("case", cases("l2m_forward"))
def test_each_example_is_changed_by_the_factors_of_its_own_entry(case):
    model, pool = DecisionTransformer(), read("l2m_forward")["modulators"]
    rank = len(pool[0][0]["B_q"])
    method = LowRankPet(rank, [0, 1], ("query", "value", "feed_forward"), 2.0, entries=len(pool), feed_forward_of="output")
    attached = method.attach(model.encoder, find_blocks(model.encoder))
    module = attached.add("pool").double()
    with torch.no_grad():
        for layer, roles in enumerate(module):
            for role, name in (("query", "q"), ("value", "v"), ("feed_forward", "ff")):
                for factor in ("a", "b"):
                    stored = torch.tensor([entry[layer][f"{factor.upper()}_{name}"] for entry in pool], dtype=torch.float64)
                    getattr(roles[role], factor).copy_(stored)
        real = torch.tensor(case["input"]["attention_mask"]) == 1
        attached.use(["pool"])
        attached.select(torch.tensor(case["output"]["selected"]))
        expected = torch.tensor(case["output"]["action_logits"], dtype=torch.float64)
        torch.testing.assert_close(model.logits(case["input"])[real], expected[real], rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", cases("mddt_forward"))
def test_the_backbone_alone_is_the_official_one(case):
    with torch.no_grad():
        found = DecisionTransformer().logits(case["input"])
    real = torch.tensor(case["input"]["attention_mask"]) == 1
    expected = torch.tensor(case["output"]["action_logits"], dtype=torch.float64)
    torch.testing.assert_close(found[real], expected[real], rtol=0, atol=1e-8)
