"""Golden vectors to functions: each adapter runs one case of the official outputs through the code that training uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnitrain_lae.evidence.tracing import tiny_vit, tokens_of, trace
from omnitrain_lae.paper.accumulation import accumulate
from omnitrain_lae.paper.calibration import calibrated_prefix, compensate
from omnitrain_lae.paper.ensemble import answer, task_of_class
from omnitrain_lae.paper.schedules import learning_rate_at
from omnitrain_tuning import adapter as adapters
from omnitrain_tuning import metrics
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.lora import LoraPet, convolution_update, low_rank_update
from omnitrain_tuning.scenario import class_incremental

Case = Mapping[str, Any]
TOLERANCES = {
    "class_order": (0.0, 0.0),
    "ema": (1e-12, 1e-12),
    "ensemble": (1e-12, 1e-12),
    "metrics": (1e-12, 1e-12),
    "pet_adapter": (1e-10, 1e-10),
    "pet_lora": (1e-10, 1e-10),
    "pet_prefix": (1e-10, 1e-10),
    "scheduler": (1e-12, 1e-12),
    "tiny_vit": (1e-10, 1e-10),
    "training_trace": (1e-9, 1e-9),
}


def _t(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _class_order(case: Case, shared: Case) -> dict[str, Any]:
    labels = case["labels"]
    found = class_incremental(labels, case["class_order"], case["num_increment_classes"], case["num_init_classes"])
    new = found.new_labels(labels)
    tasks = []
    for number in range(len(found.tasks)):
        rows = found.rows(new, number)
        tasks.append({"sample_indices": rows, "new_labels": new[rows], "task_ids": np.full(len(rows), number)})
    seen = found.seen_rows(new, min(1, len(found.tasks) - 1))
    return {
        "nb_tasks": len(found.tasks),
        "increments": found.sizes,
        "tasks": [{k: v.tolist() for k, v in task.items()} for task in tasks],
        "test_indices_seen_after_task_1": seen.tolist(),
    }


def _ema(case: Case, shared: Case) -> dict[str, Any]:
    names = list(case["initial"])
    offline = [[_t(case["initial"][name]) for name in names] for _ in range(case["num_emas"])]
    steps = []
    for online in case["online_after_step"]:
        chain = "official" if case["num_emas"] > 1 else "corrected"
        accumulate(offline, [_t(online[name]) for name in names], case["decay"], chain)  # type: ignore[arg-type]
        steps.append([dict(zip(names, [entry.tolist() for entry in expert], strict=True)) for expert in offline])
    return {"offline_after_step": steps}


def _ensemble(case: Case, shared: Case) -> dict[str, Any]:
    given = [case["logits_online"], *([] if case["logits_offline"] is None else [case["logits_offline"]])]
    targets = torch.tensor(case["targets"])
    sizes = case["classes_per_task"][: case["current_task"] + 1]
    task_of = task_of_class(sizes)
    found = answer(_t(given), targets, task_of, case["eval_only_offline"])
    labels, tasks = targets.numpy(), task_of[targets].numpy()
    counts = np.bincount(tasks, minlength=len(sizes))

    def each(predicted: Tensor) -> list[float]:
        rates = metrics.accuracy_by_task(predicted.numpy(), labels, tasks)
        return [*rates, *[0.0] * (len(sizes) - len(rates))]

    return {
        "scores": found.scores,
        "pred_online": found.experts[0],
        "pred_offline": found.experts[1] if len(found.experts) > 1 else None,
        "pred_ensemble": found.ensemble,
        "acc": metrics.incremental_accuracy(each(found.ensemble), counts.tolist()),
        "acc_per_task": each(found.ensemble),
        "acc_per_task_task_known": each(found.task_known),
        "n_per_task": counts.tolist(),
    }


def _metrics(case: Case, shared: Case) -> dict[str, Any]:
    rows, counts = case["acc_matrix"], case["test_counts"]
    found = metrics.summarise(rows, counts)
    drops = [{str(j): d for j, d in enumerate(metrics.drop_since_learned(rows, i))} for i in range(len(rows))]
    return {
        "incremental_acc_sample_weighted": [metrics.incremental_accuracy(row, counts) for row in rows],
        "incremental_acc_task_mean": [float(np.mean(row)) for row in rows],
        "last_acc": found["last accuracy"],
        "average_incremental_acc": found["average incremental accuracy"],
        "avalanche_forgetting_per_task_after_each_task": drops,
        "avalanche_bwt_per_task_after_each_task": [{j: -d for j, d in row.items()} for row in drops],
        "forgetting_max_after_each_task": [metrics.forgetting(rows, i) for i in range(len(rows))],
        "forgetting_last": found["forgetting"],
        "forgetting_max_incl_current_last": metrics.forgetting_including_now(rows),
    }


def _set(parameter: Any, value: Any) -> None:
    with torch.no_grad():
        parameter.copy_(_t(value))


def _bottleneck(case: Case, cls: type[adapters.Bottleneck], width: int, rank: int) -> adapters.Bottleneck:
    made = cls(width, rank, case["fixed_scale"])
    for name, value in case["adapter"].items():
        if name != "scale" or case["fixed_scale"] is None:
            _set(made.get_parameter(name), value)
    return made


def _gradients(module: nn.Module, names: Mapping[str, str]) -> dict[str, Any]:
    """Return gradients under the file's names; what is no parameter has none."""
    found = dict(module.named_parameters())
    return {given: found[own].grad if own in found else None for given, own in names.items()}


def _pet_adapter(case: Case, shared: Case) -> dict[str, Any]:
    x = _t(case["x"]).requires_grad_()
    if case.get("kind") == "conv2d_1x1":
        weight = case["wrapped_depthwise_conv3x3_pad1"]
        channels = x.shape[1]
        wrapped: nn.Module = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        made = _bottleneck(case, adapters.ConvBottleneck, channels, len(case["adapter"]["down.bias"]))
    else:
        weight = case["wrapped_linear"]
        wrapped = nn.Linear(len(weight["weight"][0]), len(weight["weight"]))
        made = _bottleneck(case, adapters.Bottleneck, case["embed_dim"], case["down_dim"])
    for name in ("weight", "bias"):
        _set(wrapped.get_parameter(name), weight[name])
    adapters.install(wrapped, case["mode"], lambda: [made])
    y = wrapped(x)
    if "mse_target" not in case:
        return {"y": y}
    loss = F.mse_loss(y, _t(case["mse_target"]))
    loss.backward()  # type: ignore[no-untyped-call]
    names = {name: name for name in ("down.weight", "down.bias", "up.weight", "up.bias", "scale")}
    return {"y": y, "mse_loss": loss, "grad": {**_gradients(made, names), "x": x.grad}}


class _Projections(nn.Module):
    """Query, key and value of one block; the official code stacks them in one weight."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        width = weight.shape[1]
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        for projection, w, b in zip(self.children(), weight.chunk(3), bias.chunk(3), strict=True):
            _set(projection.weight, w.tolist())
            _set(projection.bias, b.tolist())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)


class _OneBlock(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleDict({"attention": attention})])


def _pet_lora(case: Case, shared: Case) -> dict[str, Any]:
    if case["kind"] == "kv":
        return _key_value_lora(case)
    a, b, scale = _t(case["A"]), _t(case["B"]), case["scale"]
    x, weight, bias = _t(case["x"]), _t(case["weight"]), _t(case["bias"])
    if case["kind"] == "conv2d":
        update = convolution_update(a, b, scale, weight.shape)
        return {"y": F.conv2d(x, weight + update, bias, padding=case["padding"])}
    return {
        "y_official_ignores_scale": F.linear(x, weight + low_rank_update(a, b, 1.0), bias),
        "y_with_scale": F.linear(x, weight + low_rank_update(a, b, scale), bias),
    }


def _key_value_lora(case: Case) -> dict[str, Any]:
    holder = _OneBlock(_Projections(_t(case["qkv_weight"]), _t(case["qkv_bias"])))
    attached = LoraPet(len(case["A_key"]), [0], case["fixed_scale"]).attach(holder, find_blocks(holder))
    expert = attached.add("online")
    attached.use(["online"])
    for role in ("key", "value"):
        for name, given in (("a", "A"), ("b", "B")):
            _set(expert.get_parameter(f"0.{role}.{name}"), case[f"{given}_{role}"])
        if case["fixed_scale"] is None:
            _set(expert.get_parameter(f"0.{role}.scale"), case[f"scale_{role}"])
    q, k, v = holder.blocks[0]["attention"](_t(case["x"]))  # type: ignore[index]
    loss = F.mse_loss(torch.cat([q, k, v], dim=-1), _t(case["mse_target"]))
    loss.backward()  # type: ignore[no-untyped-call]
    names = {
        f"{given}_{role}": f"0.{role}.{own}"
        for given, own in (("A", "a"), ("B", "b"), ("scale", "scale"))
        for role in ("key", "value")
    }
    return {"q": q, "k": k, "v": v, "mse_loss": loss, "grad": _gradients(expert, names)}


def _pet_prefix(case: Case, shared: Case) -> dict[str, Any]:
    if case.get("kind") == "compensate_only":
        rows = compensate(_t(case["attn"]), case["position"], case["length"])
        return {"attn": rows, "row_sums": rows.sum(dim=-1)}
    attention = _vit_attention(case)
    holder = _OneBlock(attention)
    attached = calibrated_prefix(case["length"], [0], case["compensate"]).attach(holder, find_blocks(holder))
    expert = attached.add("online")
    for role in ("key", "value"):
        _set(expert.get_parameter(f"0.{role}.tokens"), case[f"prefix_{role}"])
        fixed = case[f"fixed_{role}_scale"]
        place: Any = expert.get_submodule(f"0.{role}")
        if fixed is None:
            _set(place.scale, case[f"{role}_scale"])
        else:
            del place.scale
            place.scale = fixed
    x = _t(case["x"])
    without = attention(x)[0]
    attached.use(["online"])
    y = attention(x)[0]
    loss = F.mse_loss(y, _t(case["mse_target"]))
    loss.backward()  # type: ignore[no-untyped-call]
    names = {f"prefix_{role}": f"0.{role}.tokens" for role in ("key", "value")}
    names |= {f"{role}_scale": f"0.{role}.scale" for role in ("key", "value")}
    return {"y_without_prefix": without, "y": y, "mse_loss": loss, "grad": _gradients(expert, names)}


def _vit_attention(case: Case) -> nn.Module:
    """transformers' own attention of ViT with the weights of the case."""
    from transformers import ViTConfig
    from transformers.models.vit.modeling_vit import ViTAttention

    config = ViTConfig(hidden_size=case["dim"], num_attention_heads=case["heads"], attn_implementation="sdpa")
    attention: nn.Module = ViTAttention(config)
    weights, biases = _t(case["qkv_weight"]).chunk(3), _t(case["qkv_bias"]).chunk(3)
    for name, weight, bias in zip(("q_proj", "k_proj", "v_proj"), weights, biases, strict=True):
        _set(attention.get_parameter(f"{name}.weight"), weight.tolist())
        _set(attention.get_parameter(f"{name}.bias"), bias.tolist())
    _set(attention.get_parameter("o_proj.weight"), case["proj_weight"])
    _set(attention.get_parameter("o_proj.bias"), case["proj_bias"])
    return attention


def _scheduler(case: Case, shared: Case) -> dict[str, Any]:
    steps = case["cycle"] or case["num_steps"]
    rates = [learning_rate_at(s, steps, case["base_lr"], case["mode"], case["scale_min"]) for s in range(steps + 1)]
    return {"lr": rates}


def _tiny_vit(case: Case, shared: Case) -> dict[str, Any]:
    learner = tiny_vit(case, case["pets"])
    images = _t(case["images"])
    with torch.no_grad():
        learner.use()
        without = tokens_of(learner, images)
        learner.use("online")
        return {"tokens_without_pet": without, "tokens": tokens_of(learner, images)}


def _training_trace(case: Case, shared: Case) -> dict[str, Any]:
    return {"tasks": trace(case)}


TEST_ONLY: dict[str, str] = {
    "pet_lora": "the cases of convolutions: no shipped backbone has LoRA on a convolution; the linear cases are training's",
}

ADAPTERS: Mapping[str, Callable[[Case, Case], dict[str, Any]]] = {
    "class_order": _class_order,
    "ema": _ema,
    "ensemble": _ensemble,
    "metrics": _metrics,
    "pet_adapter": _pet_adapter,
    "pet_lora": _pet_lora,
    "pet_prefix": _pet_prefix,
    "scheduler": _scheduler,
    "tiny_vit": _tiny_vit,
    "training_trace": _training_trace,
}
