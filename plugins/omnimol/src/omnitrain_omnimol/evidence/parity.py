"""Golden vectors of the official code, through the functions and modules that training and evaluation use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from omnitrain_omnimol.models.experts import PROJECTIONS, Experts, ExpertSettings
from omnitrain_omnimol.models.gal import AdaptedLinear, AdapterSettings
from omnitrain_omnimol.models.gin import GraphEncoder
from omnitrain_omnimol.molecules.graphs import flat, smiles_graph, tensors
from omnitrain_omnimol.molecules.texts import canonical_smiles, decoded_selfies
from omnitrain_omnimol.paper.chat import chat_prompt, prompt_ids, training_row
from omnitrain_omnimol.paper.experts import moe_layers, route
from omnitrain_omnimol.paper.fusion import fuse
from omnitrain_omnimol.paper.metrics.molecules import molecule_metrics
from omnitrain_omnimol.paper.metrics.numbers import determination, extracted_error, orbital_errors, scf_error
from omnitrain_omnimol.paper.metrics.pairs import Pair
from omnitrain_omnimol.paper.metrics.words import procedure_metrics, text_metrics, wordnet

Case = Mapping[str, Any]
_SPECIAL = ("<pad>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_NUMBERS: dict[str, Callable[..., Any]] = {
    "homolumo": orbital_errors,
    "extracted_unsigned_mae": extracted_error,
    "extracted_signed_mae_scf": scf_error,
    "r2": determination,
}
WORDNET: str | None = None
"""Folder of the dictionary; without one METEOR is neither measured nor compared."""


def _float(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.get_default_dtype())


def _pairs(case: Case) -> list[Pair]:
    return [Pair(item["prompt"], item["gt"], item["pred"]) for item in case["items"]]


def _toy(text: str) -> list[int]:
    ids = [1]
    while text:
        special = next((s for s in _SPECIAL if text.startswith(s)), None)
        ids.append(10 + ord(text[0]) if special is None else _SPECIAL.index(special))
        text = text[len(special or text[0]) :]
    return ids


def _chat(case: Case, shared: Case) -> dict[str, Any]:
    question = case["question"]
    ids, labels = training_row(question, case["answer"], _toy)
    prompt = chat_prompt(question)
    return {"train_input_ids": ids, "train_labels": labels, "test_prompt": prompt, "test_input_ids": prompt_ids(prompt, _toy)}


def _graph(case: Case, shared: Case) -> dict[str, Any]:
    graph = smiles_graph(case["smiles"])
    return {
        "edge_index": graph.bonds[:, :2].T.tolist(),
        "edge_feat": graph.bonds[:, 2:].tolist(),
        "node_feat": graph.atoms.tolist(),
        "num_nodes": len(graph.atoms),
    }


def _selfies(case: Case, shared: Case) -> dict[str, Any]:
    smiles = decoded_selfies(case["selfies"])
    plain = canonical_smiles(smiles)
    # The empty molecule's canonical form with stereo is null in the vectors, which has no meaning of its own.
    stereo = canonical_smiles(smiles, stereo=True) if plain else None
    return {"smiles": smiles, "canonical_no_stereo": plain, "canonical_with_stereo": stereo}


def _gin(case: Case, shared: Case) -> dict[str, Any]:
    encoder = GraphEncoder(case["num_layer"], case["emb_dim"])
    state = {name: torch.zeros_like(value) for name, value in encoder.state_dict().items()}
    for name, weight in case["weights"].items():
        if "rows" in weight:
            for row, values in weight["rows"].items():
                state[name][int(row)] = _float(values)
        else:
            state[name] = _float(weight["data"]).view(weight["shape"])
    encoder.load_state_dict(state)
    features, edges, edge_features, _ = flat(*tensors(smiles_graph(case["smiles"])))
    nodes = encoder(features, edges, edge_features)
    return {"node_representation": nodes.tolist(), "mean_pooled": nodes.mean(dim=0).tolist()}


def _gal(case: Case, shared: Case) -> dict[str, Any]:
    base = _float(case["base_weight"])
    linear = nn.Linear(base.shape[1], base.shape[0], bias=False)
    linear.weight = nn.Parameter(base)
    layer = AdaptedLinear(linear, AdapterSettings(case["r"], case["lora_alpha"], dropout=0.0))
    adapter = layer.adapter
    for parameter, values in ((adapter.lora_A, "lora_A"), (adapter.lora_B, "lora_B"), (adapter.theta, "weights_alpha_beta_p")):
        assert parameter is not None
        parameter.data = _float(case[values])
    y = layer(_float(case["x"]))
    mse = functional.mse_loss(y, _float(case["target"]))
    mse.backward()  # type: ignore[no-untyped-call]
    theta = adapter.theta
    gradients = [None if p is None else p.grad for p in (theta, adapter.lora_A, adapter.lora_B)]
    own, first, second = (torch.zeros(1) if g is None else g for g in gradients)
    return {
        "scale": float(torch.as_tensor(adapter.scale).detach()),
        "y": y.tolist(),
        "mse": float(mse.detach()),
        "grad_weights": own.tolist(),
        "grad_A_row0": first[0].tolist(),
        "grad_B": second.tolist() if case["r"] <= 8 else None,
    }


def _fusion(case: Case, shared: Case) -> dict[str, Any]:
    ids = torch.tensor(case["input_ids"])
    graphs = [graph or [] for graph in case["graph_features"]]
    table = _float(case["embedding"])
    nodes = [vector for graph in graphs for vector in graph]
    fused = fuse(
        table[ids.clamp(min=0)],
        ids,
        torch.tensor(case["labels"]),
        torch.tensor(case["attention_mask"]).bool(),
        _float(nodes).view(len(nodes), table.shape[1]),
        torch.tensor([len(graph) for graph in graphs]),
    )
    return {
        "inputs_embeds": fused.embeddings.tolist(),
        "labels": fused.labels.tolist(),
        "attention_mask": fused.mask.long().tolist(),
        "position_ids": fused.positions.tolist(),
    }


def _weight(case: Case, name: str) -> Tensor:
    found = case["weights"][name]
    assert prod(found["shape"]) == len(found["data"])
    return _float(found["data"]).view(found["shape"])


def _experts(case: Case) -> Experts:
    """Return our experts, whose adapters of full rank hold how the weights of the case differ from one frozen MLP."""
    prefix = "shared_experts" if case["shared_expert"] else "experts.0"
    mlp: Any = nn.Module()
    mlp.act_fn = functional.silu
    for name in PROJECTIONS:
        weight = _weight(case, f"{prefix}.{name}.weight")
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = nn.Parameter(weight)
        setattr(mlp, name, layer)
    rank = max(case["hidden"], case["intermediate"])
    settings = ExpertSettings(
        case["n_experts"], case["top_k"], case["shared_expert"], bool(case["norm_topk_prob"]), case["seq_aux"]
    )
    experts = Experts(mlp, settings, AdapterSettings(rank, float(rank), dropout=0.0, kind="lora"))
    experts.router.weight.data = _weight(case, "moe_gate.weight")
    for number, expert in enumerate(experts.experts):
        for name in PROJECTIONS:
            change = _weight(case, f"experts.{number}.{name}.weight") - getattr(mlp, name).weight.data
            adapter: Any = getattr(expert, name)
            adapter.lora_A.data = torch.zeros_like(adapter.lora_A).index_copy(0, torch.arange(len(change)), change)
            adapter.lora_B.data = torch.eye(len(change), rank)
    return experts


def _moe(case: Case, shared: Case) -> dict[str, Any]:
    experts, x = _experts(case), _float(case["x"])
    seen: list[Any] = []
    handle = experts.router.register_forward_hook(lambda module, args, out: seen.append(out))
    trained = experts.train()(x)
    auxiliary = experts.auxiliary
    assert auxiliary is not None
    (gradient,) = torch.autograd.grad(auxiliary, [experts.router.weight])
    handle.remove()

    _, weights, chosen = route(seen[0].flatten(0, 1), case["top_k"], bool(case["norm_topk_prob"]))
    routed = [
        [[int(e), float(w)] for e, w in sorted(zip(row_e.tolist(), row_w.tolist(), strict=True))]
        for row_e, row_w in zip(chosen, weights, strict=True)
    ]
    evaluated = experts.eval()(x)
    return {
        "y_train": trained.tolist(),
        "y_eval": evaluated.tolist(),
        "aux_loss_unscaled": float(auxiliary.detach()),
        "aux_loss_in_eval": None if experts.auxiliary is None else float(experts.auxiliary),
        "router_probs_topk_sorted_by_expert": routed,
        "grad_router": gradient.tolist(),
    }


def _layers(case: Case, shared: Case) -> dict[str, Any]:
    return {"layers": moe_layers(case["mode"], case["num_layers"])}


def _texts(case: Case, shared: Case) -> dict[str, Any]:
    dictionary = None if WORDNET is None else wordnet(WORDNET)
    return text_metrics(_pairs(case), lambda text: text.split()[:512], True, dictionary)


def _procedures(case: Case, shared: Case) -> dict[str, Any]:
    return procedure_metrics(_pairs(case), str.split, True, None if WORDNET is None else wordnet(WORDNET))


def _without_meteor(expected: Any, actual: Any, case: Any) -> str | None:
    kept = expected if "Meteor" in actual else {name: value for name, value in expected.items() if name != "Meteor"}
    if sorted(kept) != sorted(actual):
        return f"output: keys {sorted(actual)}, expected {sorted(kept)}"
    for name, value in kept.items():
        if not np.isclose(actual[name], value, rtol=0, atol=TOLERANCES["text_metrics"]["absolute"]):
            return f"output.{name}: {actual[name]}, expected {value}"
    return None


ADAPTERS: dict[str, Callable[[Case, Case], Any]] = {
    "chat_template_labels": _chat,
    "gin_encoder": _gin,
    "gradient_adaptive_lora": _gal,
    "graph_token_fusion": _fusion,
    "moe_layer": _moe,
    "moe_layers": _layers,
    "mol_graph": _graph,
    "number_metrics": lambda case, shared: _NUMBERS[case["metric"]](_pairs(case), official=True),
    "procedure_metrics": _procedures,
    "reaction_metrics": lambda case, shared: molecule_metrics(_pairs(case), official=True),
    "selfies_smiles": _selfies,
    "text_metrics": _texts,
}
_FLOAT32 = {"relative": 2e-6, "absolute": 2e-6}
_METRICS = {"relative": 1e-9, "absolute": 1e-9}
TOLERANCES: dict[str, dict[str, float]] = {
    "gin_encoder": _FLOAT32,
    "gradient_adaptive_lora": _FLOAT32,
    "graph_token_fusion": _FLOAT32,
    "moe_layer": _FLOAT32,
    "number_metrics": _METRICS,
    "procedure_metrics": _METRICS,
    "reaction_metrics": _METRICS,
    "text_metrics": _METRICS,
}
COMPARE: dict[str, Callable[[Any, Any, Any], str | None]] = {
    "text_metrics": _without_meteor,
    "procedure_metrics": _without_meteor,
}
