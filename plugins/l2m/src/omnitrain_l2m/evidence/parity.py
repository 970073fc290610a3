"""Golden vectors to functions: each adapter runs one case of the official outputs through the code that training uses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnitrain.engine import ScheduleConfig, make_schedule
from omnitrain_control.episodes import EpisodeStore, EpisodeWriter
from omnitrain_control.returns import returns_from_target, returns_to_go
from omnitrain_control.trajectories import Trajectories
from omnitrain_l2m.configs.models import MethodConfig
from omnitrain_l2m.models.acting import greedy_actions
from omnitrain_l2m.models.network import Mddt, Shape, decayed_names, load_weights
from omnitrain_l2m.models.pool import KeyPool
from omnitrain_l2m.models.tuned import Tuned
from omnitrain_l2m.objectives import Actions, action_losses
from omnitrain_l2m.paper.episodes import History
from omnitrain_l2m.paper.sampling import alternating, domains_of
from omnitrain_l2m.paper.scores import normalised_score
from omnitrain_l2m.paper.selection import masked_mean
from omnitrain_l2m.paper.tokens import Tokeniser
from omnitrain_l2m.spaces.domains import builtin_domains, padded
from omnitrain_tuning import curves
from omnitrain_tuning.consolidation import Consolidation

Case = Mapping[str, Any]
TOLERANCES = {
    "action_tokenizer": (1e-6, 1e-6),
    "continual_world_metrics": (1e-12, 1e-12),
    "dmc_full_observation": (1e-7, 1e-7),
    "dmc_normalized_score": (1e-12, 1e-12),
    "domain_alternating_sampler": (0.0, 0.0),
    "ewc_penalty": (1e-5, 0.0),  # summed in float32 by the official code
    "iqm": (1e-12, 1e-12),
    "l2m_forward": (1e-9, 1e-9),
    "lr_schedule": (1e-9, 1e-15),
    "mddt_forward": (1e-8, 1e-8),
    "mddt_inference": (1e-7, 1e-7),
    "modulation_pool_selection": (1e-7, 1e-7),  # counts are float32 in the file
    "parameter_groups": (0.0, 0.0),
    "returns_to_go": (1e-6, 1e-6),
    "rollout_context": (1e-6, 1e-6),
    "target_returns": (0.0, 0.0),
    "trajectory_window": (1e-6, 1e-6),
}


def _t(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _batch(case: Case) -> dict[str, Tensor]:
    return {
        "observations": _t(case["states"]),
        "actions": _t(case["actions"]),
        "rewards": _t(case["rewards"])[..., 0],
        "returns_to_go": _t(case["returns_to_go"])[..., 0],
        "timesteps": torch.tensor(case["timesteps"]),
        "attention_mask": torch.tensor(case["attention_mask"]).bool(),
        "action_mask": torch.tensor(case["action_mask"]).bool(),
    }


def _weights() -> dict[str, Tensor]:
    """The weights of the vectors of the plain model, which those of the others refer to."""
    file = Path(__file__).parent / "mddt_weights.json"
    return {name: _t(values) for name, values in json.loads(file.read_text("utf-8")).items()}


def _mddt(weights: Mapping[str, Tensor]) -> Mddt:
    bins, width = weights["embed_action_disc.weight"].shape
    shape = Shape(6, 3, width, 2, 2, len(weights["embed_timestep.weight"]), len(weights["encoder.wpe.weight"]))
    model = Mddt(shape, Tokeniser(bins - 1)).double().eval()
    load_weights(model, weights, "mddt_forward.json")
    return model


def _action_tokenizer(case: Case, shared: Case) -> dict[str, Any]:
    tokeniser = Tokeniser(case["vocab_size"], case["shift"], case["kind"], case.get("min_val", -1.0), case.get("max_val", 1.0))
    tokens = tokeniser.tokenise(torch.tensor(case["x"], dtype=torch.float32))
    return {"tokens": tokens, "inverse": tokeniser.decode(tokens)}


def _continual_world_metrics(case: Case, shared: Case) -> dict[str, Any]:
    scores, each = case["success_per_seed_eval_task"], case["evals_per_task"]
    alone = list(case["single_task_baseline_success_per_task_seed_eval"].values())
    per_task = curves.transferred(scores, each, alone)
    return {
        "final_success_per_seed_task": curves.final_scores(scores, each),
        "success_at_end_of_own_training_per_seed_task": curves.scores_when_learned(scores, each),
        "average_performance": curves.final_scores(scores, each).mean(),
        "average_forgetting": curves.forgotten(scores, each).mean(),
        "forward_transfer_total_normalized": per_task.mean(),
        "forward_transfer_total": curves.transferred(scores, each, alone, normalised=False).mean(),
        "forward_transfer_per_task_normalized": per_task,
    }


def _dmc_full_observation(case: Case, shared: Case) -> Any:
    return builtin_domains()["dmcontrol"].state(case)


def _dmc_normalized_score(case: Case, shared: Case) -> float:
    return normalised_score(case["raw"], *builtin_domains()["dmcontrol"].known("scores", case["task"]))


def _compare_score(expected: Any, actual: Any, case: Case) -> str | None:
    """The official table misses one task by a typing error and gives nan there; we score it."""
    if expected == "nan":
        return None if np.isfinite(actual) else f"expected a number, since the table's name is corrected; found {actual}"
    return None if np.isclose(actual, expected, rtol=1e-12, atol=1e-12) else f"expected {expected}; found {actual}"


def _domain_alternating_sampler(case: Case, shared: Case) -> Any:
    sizes, batch, count = case["trajectories_per_domain"], case["batch_size"], case["num_samples"]
    counts = np.bincount(domains_of(0, count, batch, len(sizes)), minlength=len(sizes))
    draws = [np.arange(n) % size for n, size in zip(counts, sizes, strict=True)]
    return alternating(draws, sizes, batch, count)


def _ewc_penalty(case: Case, shared: Case) -> Any:
    apart, current = case["mode"] == "separate", case["current_task"]
    tasks = [str(t) for t in (range(current) if apart else [current - 1])]
    parameters = [torch.nn.Parameter(_t(value)) for value in case["parameters"].values()]
    held = Consolidation(parameters, case["ewc_lambda"], factor=1.0, kept="each" if apart else "last")
    fisher = [[_t(value) for value in case["importances"][t].values()] for t in tasks]
    held.load_state_dict({"fisher": fisher, "anchor": [[_t(v) for v in case["saved"][t].values()] for t in tasks]})
    return held.penalty()


def _iqm(case: Any, shared: Case) -> dict[str, Any]:
    return {"mean": np.mean(case), "iqm": curves.interquartile_mean(case)}


def _lr_schedule(case: Case, shared: Case) -> Any:
    """The cosine counts from the end of the warm-up: it is that of a run of warm-up + T_max updates, and stays at its end."""
    warm = case["warmup_steps"]
    kind: Any = case["kind"] or "constant"
    low = case.get("eta_min", 0.0) / case["base_lr"]
    schedule = ScheduleConfig(name=kind, warmup_steps=warm, final_fraction=low)
    rate = make_schedule(schedule, case["base_lr"], warm + case.get("T_max", case["n_steps"]))
    return [rate(step + 1) for step in range(case["n_steps"])]


def _mddt_forward(case: Case, shared: Case) -> dict[str, Any]:
    model, batch = _mddt(_weights()), _batch(case)
    with torch.no_grad():
        tokens, logits = model.embed(batch), model(batch)
    losses, right = action_losses(logits, batch, model.tokeniser)
    decoded = model.tokeniser.decode(logits.argmax(-1), torch.float64)
    real = batch["action_mask"] & batch["attention_mask"][..., None]
    each = tokens.shape[2]
    return {
        "stacked_input_embeddings": tokens[0].flatten(0, 1),
        "stacked_attention_mask": batch["attention_mask"].long().repeat_interleave(each, dim=1),
        "position_ids": torch.zeros(len(tokens), each * tokens.shape[1], dtype=torch.int64),
        "action_logits": logits,
        "action_preds": decoded,
        "loss": losses.mean(),
        "action_acc": right.double().mean(),
        "action_mse": (decoded - batch["actions"])[real].square().mean(),
    }


def _compare_real_steps(expected: Case, actual: Case, case: Case) -> str | None:
    """Padded steps see nothing, so that what they give means nothing."""
    if set(expected) != set(actual):
        return f"expected {', '.join(sorted(expected))}; found {', '.join(sorted(actual))}"
    real = np.array(case["attention_mask"]) == 1
    for name, wanted in expected.items():
        found = np.asarray(actual[name].detach() if isinstance(actual[name], Tensor) else actual[name], float)
        given = np.asarray(wanted, float)
        if name in ("action_logits", "action_preds"):
            given, found = given[real], found[real]
        # Accuracy and squared error are float32 in the file.
        room = 1e-6 if name in ("action_acc", "action_mse") else 1e-8
        if given.shape != found.shape or not np.allclose(found, given, rtol=room, atol=room):
            return (
                f"output.{name}: differs by up to {np.abs(found - given).max() if given.shape == found.shape else 'its shape'}"
            )
    return None


def _l2m_forward(case: Case, shared: Case) -> dict[str, Any]:
    pool = shared["modulators"]
    rank = len(pool[0][0]["B_q"])
    method = MethodConfig(name="l2m", pool=len(pool), rank=rank, alpha=pool[0][0]["scaling"] * rank)
    model = Tuned(_mddt(_weights()), method).double().eval()
    assert model.keys is not None
    assert model.modulator is not None
    own = dict(model.modulator.named_parameters())
    with torch.no_grad():
        model.keys.keys.copy_(_t(shared["keys"]))
        for layer in range(len(pool[0])):
            for role, short in (("query", "q"), ("value", "v"), ("feed_forward", "ff")):
                for factor in ("a", "b"):
                    stored = _t([entry[layer][f"{factor.upper()}_{short}"] for entry in pool])
                    own[f"parameters_of_blocks.{layer}.{role}.{factor}"].copy_(stored)
    batch = _batch(case)
    loss = Actions()(model, batch)
    pulled = loss.auxiliary["pull"]
    similarity = pulled.total / float(pulled.weight or 0)
    total = loss.total / loss.weight + pulled.coefficient * similarity
    total.backward()  # type: ignore[no-untyped-call]
    assert model.chosen is not None
    with torch.no_grad():
        logits = model(batch)
        query = model.query(model.backbone.embed(batch), batch["attention_mask"])
    return {
        "selected": model.chosen[:, 0],
        "query": query,
        "action_logits": logits,
        "action_preds": model.tokeniser.decode(logits.argmax(-1), torch.float64),
        "loss_actions": loss.total / loss.weight,
        "reduce_sim": similarity,
        "loss": total,
        "grad_keys": model.keys.keys.grad,
    }


def _mddt_inference(case: Case, shared: Case) -> dict[str, Any]:
    seen = case["observations"]
    history = History(1, case["context_len"], case["max_state_dim"], case["max_act_dim"])
    asked = np.array(case["scaled_returns_to_go"], np.float32)
    history.begin(np.ones(1, bool), asked[:1])
    for step, observation in enumerate(seen):
        history.observe(padded(np.array([observation], np.float32), case["max_state_dim"]))
        if step < len(seen) - 1:
            history.act(np.array([case["actions_so_far"][step]]))
            history.reward(np.array([case["scaled_rewards_so_far"][step]]))
    window = dict(history.window())
    # Returns to go and steps are given here, and need not be those of an episode from its start.
    for name, given in (("returns_to_go", asked), ("timesteps", np.array(case["timesteps"]))):
        kept = given[-case["context_len"] :]
        window[name] = np.concatenate([np.zeros(case["context_len"] - len(kept), kept.dtype), kept])[None]
    action = greedy_actions(_mddt(_weights()), window, case["env_act_dim"])[0]
    inputs = {name: window[name] for name in ("actions", "timesteps", "attention_mask")}
    inputs |= {"states": window["observations"]}
    inputs |= {name: window[name][..., None] for name in ("rewards", "returns_to_go")}
    return {"model_inputs": {**inputs, "attention_mask": inputs["attention_mask"].astype(int)}, "action": action}


def _modulation_pool_selection(case: Case, shared: Case) -> dict[str, Any]:
    keys = _t(case["keys"])
    tasks = case["num_tasks_oracle_mask"]
    pool = KeyPool(
        len(keys),
        keys.shape[1],
        similarity=case["pull_sim"],
        penalty=case["count_penalty"],
        shift=case["shift_cosine_to_unit_interval"],
        tasks=tasks,
    ).double()
    with torch.no_grad():
        pool.keys.copy_(keys)
    pool.counts.copy_(_t(case["counts"]))
    pool.updates.fill_(case["num_updates_counted"])
    pool.begin_task(case["current_task"])
    pool.train(case["mode"] == "train")
    query = masked_mean(_t(case["state_tokens"]), torch.tensor(case["time_mask"]))
    scores, _ = pool.scores(query, case["oracle_task"])
    chosen, pulled = pool(query, case["oracle_task"])
    similarity = pulled.mean()
    loss = -case["pull_coef"] * similarity
    loss.backward()
    if pool.training:
        pool.count(chosen)
    return {
        "query": query,
        "inverse_count_weights": pool.weights,
        "scores": scores,
        "selected": chosen[:, 0],
        "reduce_sim": similarity,
        "pull_loss": loss,
        "grad_keys": pool.keys.grad,
        "counts_after": pool.counts,
    }


def _parameter_groups(case: Any, shared: Case) -> dict[str, Any]:
    if case == "MDDT (tiny) parameter names":
        model = _mddt(_weights())
        decayed = decayed_names(model)
        names = sorted(name for name, _ in model.named_parameters())
        return {"decay": sorted(decayed), "no_decay": [name for name in names if name not in decayed]}
    if "freeze" in case:
        tuned = Tuned(_mddt(_weights()), MethodConfig(pool=3, rank=2))
        kinds = {_official(name) for name, parameter in tuned.named_parameters() if parameter.requires_grad}
        return {"trainable": sorted(kinds)}
    with torch.device("meta"):
        backbone = Mddt(Shape(204, 6, 768, 6, 12), Tokeniser())
        count = sum(p.numel() for p in backbone.parameters())
        tuned = Tuned(backbone, MethodConfig())
    own = sum(p.numel() for p in tuned.parameters()) - count
    layers, pool = backbone.shape.layers, tuned.options["pool"]
    sizes = dict.fromkeys(("prompt.lora_a", "prompt.lora_b", "prompt.prompt_key"), 0)
    for name, parameter in tuned.named_parameters():
        if parameter.requires_grad:
            sizes[_official(name)] += parameter.numel()
    width, rank = backbone.shape.width, tuned.options["rank"]
    slots = sizes["prompt.lora_a"] // (pool * layers * width * rank)
    return {
        "total_parameters": count + own,
        "modulation_pool_parameters": own,
        "backbone_parameters": count,
        "share_of_backbone": own / count,
        "pool_tensors": {
            "prompt.lora_a": [pool, layers, slots, width, rank],
            "prompt.lora_b": [pool, layers, sizes["prompt.lora_b"] // (pool * layers * width * rank), rank, width],
            "prompt.prompt_key": [pool, sizes["prompt.prompt_key"] // pool],
        },
    }


def _official(name: str) -> str:
    """Return the official tensor that holds a parameter; ours are one by layer and role."""
    return "prompt.prompt_key" if name == "keys.keys" else f"prompt.lora_{name.rpartition('.')[2]}"


def _returns_to_go(case: Case, shared: Case) -> Any:
    rewards, target = np.array(case["rewards"], np.float32), case.get("target_return")
    return returns_to_go(rewards, np.array([len(rewards)])) if target is None else returns_from_target(rewards, target)


def _rollout_context(case: Case, shared: Case) -> dict[str, Any]:
    """The official code forgets the reset observation from the second episode on; see `_compare_context`."""
    observations, scale = np.array(case["observations"], np.float32), case["reward_scale"]
    actions = np.array(case["actions_taken_cyclic"], np.float32)
    steps, calls = len(case["rewards"]), []
    history = History(1, steps, observations.shape[1], actions.shape[1])
    for _ in range(case["episodes"]):
        history.begin(np.ones(1, bool), np.array([case["target_return"] / scale]))
        for step in range(steps):
            history.observe(observations[step : step + 1])
            held = {name: values[0, steps - step - 1 :].copy() for name, values in history.window().items()}
            del held["attention_mask"]
            calls.append({"states": held.pop("observations"), **held})
            history.act(actions[(len(calls) - 1) % len(actions)][None])
            history.reward(np.array([case["rewards"][step] / scale]))
    return {"model_calls": calls}


def _compare_context(expected: Case, actual: Case, case: Case) -> str | None:
    steps = len(case["rewards"])
    for number, (wanted, found) in enumerate(zip(expected["model_calls"], actual["model_calls"], strict=True)):
        for name, values in wanted.items():
            given, own = np.array(values, float), np.asarray(found[name], float)
            if name == "states" and number >= steps:
                if not np.allclose(own[0], case["observations"][0], atol=1e-6):
                    return f"output.model_calls[{number}]: the episode does not begin with the reset observation"
                given, own = given[1:], own[1:]
            if given.shape != own.shape or not np.allclose(own, given, rtol=1e-6, atol=1e-6):
                return f"output.model_calls[{number}].{name}: expected {given.tolist()}; found {own.tolist()}"
    return None


def _target_returns(case: Case, shared: Case) -> Any:
    return builtin_domains()[case["domain"]].known("target_returns", case["task"])


def _trajectory_window(case: Case, shared: Case) -> dict[str, Any]:
    names = ("observations", "actions", "rewards")
    with TemporaryDirectory() as folder:
        with EpisodeWriter(Path(folder)) as writer:
            writer.add({name: np.array(case[name], np.float32) for name in names})
        held = Trajectories([EpisodeStore(Path(folder))])
        found = held.windows(np.zeros(1, np.int64), np.array([case["start"]]), case["context_len"], names)
    for name, width in (("observations", "max_state_dim"), ("actions", "max_act_dim"), ("action_mask", "max_act_dim")):
        found[name] = padded(found[name], case[width] or found[name].shape[-1])
    out = {name: np.asarray(values[0], float) for name, values in found.items()}
    return {**out, **{name: out[name][:, None] for name in ("rewards", "returns_to_go")}}


# No component reaches acting and the numbers of a sequence.
TEST_ONLY: dict[str, str] = {
    "continual_world_metrics": "no stage learns a sequence",
    "dmc_full_observation": "files hold whole states; nothing observes DMControl",
    "dmc_normalized_score": "no evaluator plays DMControl",
    "ewc_penalty": "no method holds weights",
    "iqm": "no evaluator plays several tasks",
    "mddt_inference": "no evaluator plays",
    "rollout_context": "no evaluator plays",
    "target_returns": "no evaluator plays",
}

COMPARE = {
    "dmc_normalized_score": _compare_score,
    "l2m_forward": _compare_real_steps,
    "mddt_forward": _compare_real_steps,
    "rollout_context": _compare_context,
}
ADAPTERS: Mapping[str, Callable[[Case, Case], Any]] = {
    "action_tokenizer": _action_tokenizer,
    "continual_world_metrics": _continual_world_metrics,
    "dmc_full_observation": _dmc_full_observation,
    "dmc_normalized_score": _dmc_normalized_score,
    "domain_alternating_sampler": _domain_alternating_sampler,
    "ewc_penalty": _ewc_penalty,
    "iqm": _iqm,
    "l2m_forward": _l2m_forward,
    "lr_schedule": _lr_schedule,
    "mddt_forward": _mddt_forward,
    "mddt_inference": _mddt_inference,
    "modulation_pool_selection": _modulation_pool_selection,
    "parameter_groups": _parameter_groups,
    "returns_to_go": _returns_to_go,
    "rollout_context": _rollout_context,
    "target_returns": _target_returns,
    "trajectory_window": _trajectory_window,
}
