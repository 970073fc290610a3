"""Runs of the shipped learning loop on given weights and batches, for the golden vectors of whole trainings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Batch, BatchPlan, Fields
from omnitrain.engine import Engine, in_order, scratch_run
from omnitrain_lae.configs.stages import ContinualConfig
from omnitrain_lae.evaluators.answers import Answered
from omnitrain_lae.models.backbone import Backbone
from omnitrain_lae.models.learner import ONLINE, Learner
from omnitrain_lae.paper.calibration import calibrated_prefix
from omnitrain_lae.stages.learning import Learning
from omnitrain_tuning.adapter import AdapterPet
from omnitrain_tuning.lora import LoraPet
from omnitrain_tuning.methods import Pet
from omnitrain_tuning.metrics import incremental_accuracy

Case = Mapping[str, Any]
BLOCK_NAMES = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
# The official names of a module's entries, by ours.
OFFICIAL = {
    "Adapter": {
        "down.weight": "layer.0.weight",
        "down.bias": "layer.0.bias",
        "up.weight": "layer.2.weight",
        "up.bias": "layer.2.bias",
        "scale": "layer.3.scale",
    },
    "LoRA": {
        "key.a": "lora_A.0",
        "value.a": "lora_A.1",
        "key.b": "lora_B.0",
        "value.b": "lora_B.1",
        "key.scale": "scale.0.scale",
        "value.scale": "scale.1.scale",
    },
    "Prefix": {
        "key.tokens": "key.tokens",
        "key.scale": "key.scaler.scale",
        "value.tokens": "val.tokens",
        "value.scale": "val.scaler.scale",
    },
}


def official_name(pet: str, name: str) -> str:
    """Return the official name of an entry: "0.down.weight" is "0.layer.0.weight"."""
    place, _, rest = name.partition(".")
    return f"{place}.{OFFICIAL[pet][rest]}"


def mapped_weights(weights: Case) -> dict[str, Tensor]:
    """Return timm's weights under transformers' names; the rows of qkv are those of query, key and value."""
    out: dict[str, Tensor] = {}
    for name, value in weights.items():
        tensor = torch.tensor(value, dtype=torch.float64)
        if name in ("cls_token", "pos_embed"):
            out["embeddings.cls_token" if name == "cls_token" else "embeddings.position_embeddings"] = tensor
        elif name.startswith("patch_embed.proj."):
            out[name.replace("patch_embed.proj", "embeddings.patch_embeddings.projection")] = tensor
        elif name.startswith("norm."):
            out[name.replace("norm", "layernorm", 1)] = tensor
        else:
            _, block, rest = name.split(".", 2)
            module, _, kind = rest.rpartition(".")
            if module == "attn.qkv":
                for part, rows in zip(("q_proj", "k_proj", "v_proj"), tensor.chunk(3), strict=True):
                    out[f"layers.{block}.attention.{part}.{kind}"] = rows
            else:
                out[f"layers.{block}.{BLOCK_NAMES[module]}.{kind}"] = tensor
    return out


def vit_of(case: Case) -> nn.Module:
    """Build transformers' ViTModel with the case's weights, in float64."""
    from transformers import ViTConfig, ViTModel

    weights = mapped_weights(case["backbone"])
    width, channels, patch, _ = weights["embeddings.patch_embeddings.projection.weight"].shape
    side = int((weights["embeddings.position_embeddings"].shape[1] - 1) ** 0.5)
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=len({name.split(".")[1] for name in weights if name.startswith("layers.")}),
        num_attention_heads=case["heads"],
        intermediate_size=len(weights["layers.0.mlp.fc1.bias"]),
        image_size=side * patch,
        patch_size=patch,
        num_channels=channels,
        layer_norm_eps=1e-6,
        attn_implementation="sdpa",
    )
    model: nn.Module = ViTModel(config, add_pooling_layer=False).double()
    model.load_state_dict(weights)
    return model


def pet_of(case: Case) -> Pet:
    """Return the tuning method that a case names."""
    settings, blocks = case["pet_kwargs"], case["blocks"]
    if case["pet"] == "Adapter":
        return AdapterPet(settings["down_sample"], blocks, settings["mode"], settings["scale"])
    if case["pet"] == "LoRA":
        return LoraPet(settings["rank"], blocks, settings["scale"])
    return calibrated_prefix(settings["length"], blocks, settings["compensatory"], settings["key_scale"])


def load_official(learner: Learner, pet: str, given: Case) -> None:
    """Put the official entries into the online expert."""
    own = learner.expert_state(ONLINE)
    learner.load_expert(ONLINE, {n: torch.tensor(given[official_name(pet, n)], dtype=torch.float64) for n in own})


def official_state(learner: Learner, pet: str, expert: str) -> dict[str, Any]:
    """Return an expert's entries under the official names."""
    return {official_name(pet, name): entry.tolist() for name, entry in learner.expert_state(expert).items()}


def tiny_vit(case: Case, pets: Case, kind: type[Learner] = Learner) -> Learner:
    """Return a learner over the case's ViT with its method and its entries, through the code that attaches in training."""
    learner = kind(Backbone(vit_of(case)), pet_of(case)).double()
    load_official(learner, case["pet"], pets)
    return learner


def tokens_of(learner: Learner, images: Tensor) -> Tensor:
    """Return all tokens after the final norm."""
    tokens: Tensor = learner.backbone.output({"pixel_values": images}).last_hidden_state
    return tokens


class _GivenBatches:
    """The tasks of a case as data: the same batches in every epoch."""

    fingerprint = "explicit batches of a golden vector"

    def __init__(self, tasks: Sequence[Case]) -> None:
        self.batch: Fields = {"pixel_values": "float64[batch, channels, height, width]", "labels": "int64[batch]"}
        self._splits: dict[str, list[Batch]] = {}
        for number, task in enumerate(tasks, 1):
            self._splits[f"train/{number}"] = [_batch(given) for given in task["train_batches"]]
            self._splits[f"test/{number}"] = [_batch(task["test"])]

    def splits(self) -> list[str]:
        return list(self._splits)

    def examples(self, split: str) -> range:
        batches = self._splits[split]
        return range(len(batches) * len(batches[0]["labels"]))

    def collate(self, examples: Sequence[Any]) -> Batch:
        raise NotImplementedError("the batches are given")

    def batches(self, split: str, plan: BatchPlan) -> _Given:
        return _Given(self._splits[split], plan.train)


class _Given:
    def __init__(self, batches: list[Batch], endless: bool) -> None:
        self._batches, self._endless, self._position = batches, endless, 0

    def __iter__(self) -> Iterator[Batch]:
        while self._endless or self._position < len(self._batches):
            yield self._batches[self._position % len(self._batches)]
            self._position += 1

    def state_dict(self) -> dict[str, Any]:
        return {"position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._position = int(state["position"])


def _batch(given: Case) -> Batch:
    return {"pixel_values": torch.tensor(given["images"], dtype=torch.float64), "labels": torch.tensor(given["labels"])}


class _GivenHeads(Learner):
    """Heads that begin as the case says."""

    given: Sequence[Case] = ()

    def add_head(self, classes: int) -> nn.Linear:
        task = self.given[len(self.heads)]
        head = super().add_head(classes)
        with torch.no_grad():
            head.weight.copy_(torch.tensor(task["head_init_weight"], dtype=torch.float64))
            head.bias.copy_(torch.tensor(task["head_init_bias"], dtype=torch.float64))
        return head


def trace_config(case: Case) -> ContinualConfig:
    """Return the settings of a traced training."""
    adam = case["adam"]
    optimiser = {"name": "adam", "betas": adam["betas"], "eps": adam["eps"], "weight_decay": adam["weight_decay"]}
    settings = {
        "data": {"use": "lae/class-incremental"},
        "model": {"use": "lae/vision"},
        "epochs": case["epochs"],
        "freeze_epochs": case["num_freeze_epochs"],
        "batch_size": len(case["tasks"][0]["train_batches"][0]["labels"]),
        "learning_rate": adam["lr"],
        "optimiser": {**optimiser, "betas": tuple(adam["betas"])},
        "accumulation": {"decay": case["ema_decay"]},
        "keep_logits": True,
        "log_every": 1,
        "checkpoint_every": 0,
        "device": "cpu",
    }
    return ContinualConfig.model_validate(settings)


def trace(case: Case) -> list[dict[str, Any]]:
    """Learn the case's tasks with the shipped loop, and return what the official code recorded after each."""
    kind = type("GivenHeads", (_GivenHeads,), {"given": case["tasks"]})
    learner = tiny_vit(case, case["online_pets_init"], kind)
    data = _GivenBatches(case["tasks"])
    learner.measure(next(in_order(data, "test/1", 1)))
    found: list[dict[str, Any]] = []
    with scratch_run() as run:

        def keep(result: Answered) -> None:
            losses = [line["loss"] for line in run.lines(split="train") if line["task"] == result.after + 1]
            found.append({"loss_per_step": losses, **_recorded(learner, case["pet"], result)})

        config, engine = trace_config(case), Engine(device="cpu")
        Learning(config, learner, data, case["classes_per_task"], run, engine, keep).run()
    return found


def _recorded(learner: Learner, pet: str, result: Answered) -> dict[str, Any]:
    assert result.logits is not None
    offline = learner.offline_names()
    heads = [{name: p.detach().tolist() for name, p in head.named_parameters()} for head in learner.heads]
    return {
        "online_pets": official_state(learner, pet, ONLINE),
        "offline_pets": official_state(learner, pet, offline[0]) if offline else None,
        "heads": heads,
        "eval_on_all_seen_tests": {
            "logits_online": result.logits[0],
            "logits_offline": result.logits[1] if offline else None,
            "pred_ensemble": result.answers["ensemble"],
            "acc": incremental_accuracy(result.accuracies(), result.counts()),
        },
    }
