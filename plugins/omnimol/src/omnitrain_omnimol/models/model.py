"""Model `omnimol/model`: a Llama-style language model that reads the nodes of a molecule's graph among its tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnitrain.api import Context
from omnitrain.errors import DataError, UsageError
from omnitrain_language.belonging import check_facts, check_tokenizers
from omnitrain_omnimol.configs.models import ModelConfig
from omnitrain_omnimol.models.experts import Experts, ExpertSettings
from omnitrain_omnimol.models.gal import AdapterSettings, adapt
from omnitrain_omnimol.models.gin import GraphEncoder
from omnitrain_omnimol.molecules.graphs import flat
from omnitrain_omnimol.paper.experts import moe_layers
from omnitrain_omnimol.paper.fusion import GRAPH_TOKEN, IGNORED, Fused, fuse

_WEIGHTS, _LANGUAGE = "model.safetensors", "language"


@dataclass(frozen=True)
class Answers:
    """What the loss needs.

    logits: float[n, vocabulary] at the n weighted positions. labels, rows: int64[n]; weights: float[n]. auxiliary: the sum of
    the experts' balance losses, None in evaluation and without experts. load: float[experts], 1 each where all are used alike.
    """

    logits: Tensor
    labels: Tensor
    weights: Tensor
    rows: Tensor
    auxiliary: Tensor | None
    load: Tensor | None


class OmniMol(nn.Module):
    """A frozen language model with adapters and experts, a frozen graph encoder, and a projector between them.

    identity: of the tokenizer whose ids the model knows.
    """

    def __init__(self, config: ModelConfig, language: Any, identity: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.settings, self.identity = config, identity
        self.language = language.requires_grad_(False)
        hidden = language.config.hidden_size
        self.graph_encoder = GraphEncoder(config.graph.layers, config.graph.width)
        self.projector: nn.Module = nn.Linear(config.graph.width, hidden)
        if config.projector == "mlp":
            self.projector = nn.Sequential(self.projector, nn.SiLU(), nn.Linear(hidden, hidden))
        self.expert_layers = self._tune()

    def _tune(self) -> list[int]:
        """Put experts and adapters into the language model; return the layers with experts."""
        layers = self.language.model.layers
        places = moe_layers(self.settings.experts.place, len(layers))
        adapters = AdapterSettings(**self.settings.adapters.model_dump())
        inside = tuple(f"layers.{number}.mlp." for number in places)
        adapt(self.language.model, adapters, lambda name: not name.startswith(inside))
        experts = ExpertSettings(**self.settings.experts.model_dump(exclude={"place"}))
        for number in places:
            layers[number].mlp = Experts(layers[number].mlp, experts, adapters)
        return places

    @property
    def config(self) -> Any:
        """The settings of the language model, of transformers."""
        return self.language.config

    def get_input_embeddings(self) -> nn.Module:
        """Return the embeddings of the language model's tokens, to which other data may add."""
        found: nn.Module = self.language.get_input_embeddings()
        return found

    def get_output_embeddings(self) -> nn.Module:
        """Return the head of the language model."""
        found: nn.Module = self.language.get_output_embeddings()
        return found

    def resize_token_embeddings(self, rows: int, mean_resizing: bool = False) -> None:
        """Give the language model rows for so many tokens."""
        self.language.resize_token_embeddings(rows, mean_resizing=mean_resizing)

    def embedded(
        self, ids: Tensor, labels: Tensor, mask: Tensor, atoms: Tensor | None = None, bonds: Tensor | None = None
    ) -> Fused:
        """Return the rows as the language model reads them, with the nodes of their graphs in place.

        ids, labels: int64[batch, length]. mask: bool[batch, length]. atoms: int64[batch, atoms, 2], bonds: int64[batch, bonds,
        4], filled up with -1.
        """
        embedding = self.language.get_input_embeddings()
        embeddings = embedding(ids.clamp(min=0))
        if atoms is None or bonds is None:
            nodes, counts = embeddings.new_zeros(0, embeddings.shape[-1]), torch.zeros_like(ids[:, 0])
        else:
            features, edges, edge_features, counts = flat(atoms, bonds)
            encoded = self.graph_encoder(features, edges, edge_features)
            nodes = self.projector(encoded).to(embeddings.dtype)
        return fuse(embeddings, ids, labels, mask, nodes, counts)

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        loss_weights: Tensor,
        attention_mask: Tensor | None = None,
        atoms: Tensor | None = None,
        bonds: Tensor | None = None,
        graph_mask: Tensor | None = None,
    ) -> Answers:
        """Return the logits at the positions of answers, and nowhere else.

        labels: int64[batch, length], what each position predicts. loss_weights: float[batch, length], zero but at answers.
        graph_mask: bool[batch, length], where a graph stands; its id there may be any.
        """
        if graph_mask is not None:
            input_ids = input_ids.masked_fill(graph_mask, GRAPH_TOKEN)
        mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        wanted = labels.masked_fill((loss_weights == 0) | (input_ids == GRAPH_TOKEN), IGNORED)
        fused = self.embedded(input_ids, wanted, mask, atoms, bonds)
        states = self.language.model(
            inputs_embeds=fused.embeddings, attention_mask=fused.mask, position_ids=fused.positions, use_cache=False
        ).last_hidden_state
        answers = fused.labels != IGNORED
        layers = [self.language.model.layers[number].mlp for number in self.expert_layers]
        balance = [layer.auxiliary for layer in layers if layer.auxiliary is not None]
        load = [layer.load for layer in layers if layer.load is not None]
        return Answers(
            self.language.lm_head(states[answers]),
            fused.labels[answers],
            fused.placed(loss_weights)[answers],
            torch.where(answers)[0],
            torch.stack(balance).sum() if balance else None,
            torch.stack(load).mean(dim=0) if load else None,
        )

    def fit_data(self, context: Context, grow: bool) -> None:
        """Refuse data whose ids mean other tokens, and rows that are too long. Raises DataError and UsageError."""
        check_tokenizers("the model", self.identity, context.facts.get("tokens"))
        check_facts(self, context.facts)

    def saved_state(self) -> Mapping[str, Tensor]:
        """Return what is trained: adapters, scales, routers, projector."""
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {name: tensor for name, tensor in self.state_dict().items() if name in trained}

    def load_saved_state(self, state: Mapping[str, Tensor]) -> None:
        """Load it again. Raises DataError where it is not exactly that."""
        if set(state) != set(self.saved_state()):
            raise DataError("the saved adapters don't fit this model: adapters, experts or the language model changed")
        self.load_state_dict(dict(state), strict=False)

    def save(self, directory: Path) -> None:
        """Write all weights, and the settings of the language model beside them."""
        from safetensors.torch import save_model

        save_model(self, str(directory / _WEIGHTS))
        self.language.config.save_pretrained(str(directory / _LANGUAGE))

    def restore(self, directory: Path) -> None:
        """Read what `save` wrote."""
        from safetensors.torch import load_model

        load_model(self, str(directory / _WEIGHTS))


def _language(config: ModelConfig, context: Context) -> Any:
    """Return the language model; where the whole model is built again, one of its saved settings. Raises UsageError."""
    if context.saved is not None and (context.saved / _LANGUAGE).is_dir():
        from transformers import AutoConfig, AutoModelForCausalLM

        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(context.saved / _LANGUAGE))
    language = context.build(config.language)
    if not hasattr(getattr(language, "model", None), "layers") or hasattr(language, "peft_config"):
        raise UsageError(
            f"language: {type(language).__name__} is no plain decoder of Llama's style: take language/causal with style: "
            "llama, or a path to such a model, without lora"
        )
    return language


def build(config: ModelConfig, context: Context) -> OmniMol:
    """Make the model `omnimol/model`."""
    language = _language(config, context)
    check_facts(language, context.facts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed("weights"))
        model = OmniMol(config, language, context.facts.get("tokens"))
    if config.graph.path is not None and context.saved is None:
        model.graph_encoder.load_checkpoint(config.graph.path)
    elif context.saved is None:
        context.event(
            "graph encoder",
            note="its weights are random and stay so: name MoleculeSTM's checkpoint as model.graph.path",
        )
    return model
