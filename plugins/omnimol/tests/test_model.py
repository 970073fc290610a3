"""The model: what is trained, that graphs count, adapters off and merged, answers only, saving."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from omnitrain.api import UseModel
from omnitrain.errors import DataError
from omnitrain_language.configs.models import CausalConfig
from omnitrain_language.models import build_causal
from omnitrain_language.switching import adapters_off
from omnitrain_omnimol.configs.models import AdaptersConfig, ExpertsConfig, GraphConfig, ModelConfig
from omnitrain_omnimol.models.experts import Experts, ExpertSettings
from omnitrain_omnimol.models.gal import AdaptedLinear, AdapterSettings, adapt, merge
from omnitrain_omnimol.models.gin import GraphEncoder
from omnitrain_omnimol.models.model import build
from omnitrain_omnimol.molecules.graphs import pack, smiles_graph
from omnitrain_omnimol.paper.fusion import GRAPH_TOKEN


def made(context, **settings):
    config = CausalConfig(style="llama", size="tiny", max_length=64)
    context.facts = {"vocabulary_size": 32}
    context.builder = lambda use, facts: build_causal(config, context)
    chosen = {"graph": GraphConfig(layers=2, width=8), "adapters": AdaptersConfig(rank=2, dropout=0), **settings}
    experts = settings.pop("experts", ExpertsConfig(place="second_half", experts=3))
    return build(ModelConfig(language=UseModel(use="language/causal"), **{**chosen, "experts": experts}), context)


def batch(*smiles):
    graphs = pack([smiles_graph(text) for text in smiles])
    atoms, bonds = graphs.gather(torch.arange(len(smiles)).numpy())
    ids = torch.tensor([[3, GRAPH_TOKEN, 4, 5, 6]] * len(smiles))
    weights = torch.tensor([[0.0, 0, 0, 1, 1]] * len(smiles))
    return {
        "input_ids": ids,
        "labels": torch.tensor([[0, 0, 0, 6, 7]] * len(smiles)),
        "loss_weights": weights,
        "attention_mask": torch.ones_like(ids, dtype=torch.bool),
        "atoms": torch.from_numpy(atoms),
        "bonds": torch.from_numpy(bonds),
    }


def moved(model):
    for name, parameter in model.named_parameters():
        if name.endswith(("lora_B", "theta")):
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name)))
    return model


def test_trained_are_adapters_scales_routers_and_projector_and_nothing_else(context):
    model = made(context)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    kinds = {name.rpartition(".")[2] for name in trained if "projector" not in name and "router" not in name}
    assert kinds == {"lora_A", "lora_B", "theta"}
    assert {name for name in trained if "projector" in name} == {"projector.weight", "projector.bias"}
    assert {name for name in trained if "router" in name} == {"language.model.layers.1.mlp.router.weight"}
    linear = [module for module in model.modules() if isinstance(module, AdaptedLinear)]
    # Layer 0 has seven, of layer 1 the attention's four; the experts' are counted below.
    assert len(linear) == 11
    assert sum(name.endswith("theta") for name in trained) == 11 + 3 * 4
    assert set(model.saved_state()) == trained


def test_graph_changes_the_logits_and_its_encoder_gets_no_gradient(context):
    model = made(context)
    one, other = model(**batch("CCO")).logits, model(**batch("CCN")).logits
    assert not torch.equal(one, other)
    one.sum().backward()
    assert all(parameter.grad is None for parameter in model.graph_encoder.parameters())
    assert model.projector.weight.grad.abs().sum() > 0
    assert not model.train().graph_encoder.training


def test_rows_of_a_batch_do_not_see_each_other(context):
    model = made(context).eval()
    together = model(**batch("CCO", "c1ccccc1CCC")).logits
    alone = [model(**batch(text)).logits for text in ("CCO", "c1ccccc1CCC")]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_adapters_off_is_the_language_model_itself(context):
    model = moved(made(context)).eval()
    plain = build_causal(CausalConfig(style="llama", size="tiny", max_length=64), context).eval()
    ids = torch.tensor([[3, 4, 5, 6]])
    fields = {"input_ids": ids, "labels": ids, "loss_weights": torch.ones(1, 4)}
    assert not torch.allclose(model(**fields).logits, plain(ids).logits[0], atol=1e-4)
    with adapters_off(model), torch.no_grad():
        assert torch.allclose(model(**fields).logits, plain(ids).logits[0], atol=1e-6)
    assert not torch.allclose(model(**fields).logits, plain(ids).logits[0], atol=1e-4)


@pytest.mark.parametrize("kind", ["gal", "rslora", "lora"])
def test_merging_is_the_forward_pass_for_any_alpha(kind):
    model = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 4))
    adapt(model, AdapterSettings(rank=4, alpha=5.0, dropout=0.0, kind=kind))
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    before = moved(model)(x)
    merge(model)
    assert [type(module) for module in model] == [nn.Linear, nn.SiLU, nn.Linear]
    assert torch.allclose(model(x), before, atol=1e-5)


def test_loss_at_answers_is_that_of_all_positions(context):
    model = made(context).eval()
    fields = batch("CCO", "CN")
    found = model(**fields)
    everywhere = model(**{**fields, "loss_weights": torch.ones_like(fields["loss_weights"])})
    # The graph's own position is never asked for: of five positions of each row four are left.
    kept = torch.tensor([2, 3, 6, 7])
    assert torch.equal(found.labels, everywhere.labels[kept])
    wanted = functional.cross_entropy(everywhere.logits[kept], everywhere.labels[kept])
    assert torch.allclose(functional.cross_entropy(found.logits, found.labels), wanted, atol=1e-6)


def test_balance_reaches_the_router_and_is_off_in_evaluation(context):
    model = made(context).train()
    found = model(**batch("CCO"))
    found.auxiliary.backward()
    assert model.language.model.layers[1].mlp.router.weight.grad.abs().sum() > 0
    assert found.load.sum() == pytest.approx(3)
    assert model.eval()(**batch("CCO")).auxiliary is None


def test_experts_share_one_mlp_and_can_start_from_it(context):
    model = made(context)
    mlp = model.language.model.layers[1].mlp
    assert sum(parameter.numel() for name, parameter in mlp.named_parameters() if "proj.weight" in name) == 3 * 64 * 192
    plain = copy.deepcopy(mlp.mlp)
    keeping = Experts(plain, ExpertSettings(3, keeps_function=True), AdapterSettings(2))
    x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(keeping(x), plain(x), atol=1e-6)


def test_encoder_loads_a_checkpoint_and_refuses_another(tmp_path):
    first, second = GraphEncoder(2, 8), GraphEncoder(2, 8)
    path = tmp_path / "stm.pth"
    more = {"atom_encoder.atom_embedding_list.5.weight": torch.zeros(3, 8)}
    torch.save({**first.state_dict(), **more}, path)
    second.load_checkpoint(str(path))
    assert torch.equal(first.gnns[1].mlp[0].weight, second.gnns[1].mlp[0].weight)
    with pytest.raises(DataError, match="of another shape"):
        GraphEncoder(2, 16).load_checkpoint(str(path))
