"""Tuning methods on backbones of transformers: places by role, bitwise attach and detach, both experts in one pass."""

import pytest
import torch
import transformers
from helpers import BACKBONES, convnext, images_for, swin, vit
from torch import nn

from omnitrain.errors import UsageError
from omnitrain_lae.models.backbone import Backbone
from omnitrain_lae.models.learned import make_learner
from omnitrain_lae.models.learner import Learner
from omnitrain_lae.paper.calibration import calibrated_prefix
from omnitrain_lae.paper.places import paper_blocks
from omnitrain_tuning.adapter import AdapterPet, ConvAdapterPet
from omnitrain_tuning.blocks import find_blocks
from omnitrain_tuning.lora import LoraPet
from omnitrain_tuning.pool import PromptPoolPet

METHODS = {
    "adapter": lambda blocks: AdapterPet(2, blocks),
    "lora": lambda blocks: LoraPet(2, blocks),
    "prefix": lambda blocks: calibrated_prefix(3, blocks),
}
PLACES = [
    ("vit", "adapter"),
    ("vit", "lora"),
    ("vit", "prefix"),
    ("deit", "adapter"),
    ("deit", "lora"),
    ("deit", "prefix"),
    ("swin", "adapter"),
    ("swin", "lora"),
    ("swin", "prefix"),
    ("convnext", "conv"),
]


def learner_of(backbone, method, blocks=(0, 1), **built):
    pet = ConvAdapterPet(2, blocks) if method == "conv" else METHODS[method](blocks)
    return Learner(Backbone(BACKBONES[backbone](**built)), pet).double()


def batch(name, rows=4):
    return {"pixel_values": images_for(name, rows)}


def disturb(learner, expert):
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in learner.experts[expert].parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))


def features(learner, images):
    with torch.no_grad():
        return learner.features(images)


@pytest.mark.parametrize(("backbone", "method"), PLACES)
def test_fresh_adapter_and_lora_leave_the_features_bitwise_and_detaching_restores_them(backbone, method):
    plain = features(Learner(Backbone(BACKBONES[backbone]()), None), batch(backbone))
    learner = learner_of(backbone, method)
    if method != "prefix":
        assert torch.equal(features(learner, batch(backbone)), plain)
    disturb(learner, "online")
    assert not torch.equal(features(learner, batch(backbone)), plain)
    learner.use()
    assert torch.equal(features(learner, batch(backbone)), plain)
    learner.use("online")
    names = [n for n, _ in learner.model.named_parameters()]
    learner.detach()
    assert torch.equal(features(learner, batch(backbone)), plain)
    assert [n for n, _ in learner.model.named_parameters()] == [n for n, _ in BACKBONES[backbone]().named_parameters()]
    assert method != "lora" or names != [n for n, _ in learner.model.named_parameters()]


@pytest.mark.parametrize(("backbone", "method"), PLACES)
def test_both_experts_in_one_pass_equal_two_passes(backbone, method):
    learner = learner_of(backbone, method, blocks=(1, 2))
    disturb(learner, "online")
    learner.start_offline(1)
    disturb(learner, "offline")
    images = batch(backbone)
    with torch.no_grad():
        together = learner.expert_features(images, ["online", "offline"])
        for place, name in enumerate(["online", "offline"]):
            learner.use(name)
            assert torch.allclose(together[place], learner.features(images), rtol=0, atol=1e-10)
    assert not torch.allclose(together[0], together[1])


def test_what_lies_before_the_first_adapted_block_runs_once_for_both_experts():
    learner = learner_of("vit", "adapter", blocks=(2,))
    learner.start_offline(1)
    rows = []
    for block in find_blocks(learner.model):
        block.module.register_forward_hook(lambda module, args, output: rows.append(len(output)))
    with torch.no_grad():
        learner.expert_features(batch("vit", 5), ["online", "offline"])
    assert rows == [5, 5, 10]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_prefix_is_the_same_on_eager_and_sdpa_backbones(attention):
    reference = learner_of("vit", "prefix")
    other = learner_of("vit", "prefix", attention=attention)
    disturb(reference, "online")
    disturb(other, "online")
    # transformers' eager attention takes the softmax in float32 in the block without a prefix.
    tolerance = 1e-6 if attention == "eager" else 0
    assert torch.allclose(features(reference, batch("vit")), features(other, batch("vit")), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("method", "count"), [("adapter", 42_270), ("lora", 76_810), ("prefix", 76_810)])
def test_trainable_parameters_on_vit_b_are_those_of_the_paper(method, count):
    with torch.device("meta"):
        model = transformers.ViTModel(transformers.ViTConfig(), add_pooling_layer=False)
        sizes = {"adapter": AdapterPet(5, ()), "lora": LoraPet(5, ()), "prefix": calibrated_prefix(10, ())}
        learner = make_learner(model, sizes[method])
        learner.measure({"pixel_values": torch.empty(1, 3, 224, 224)})
        head = learner.add_head(100)
    assert list(learner.pet.blocks) == [0, 1, 2, 3, 4]
    assert sum(p.numel() for p in learner.parameters() if p.requires_grad) == count + 76_900
    assert sum(p.numel() for p in head.parameters()) == 76_900


def test_the_papers_places_are_ten_blocks_of_swin_and_fifteen_of_convnext():
    with torch.device("meta"):
        swin_b = transformers.SwinModel(transformers.SwinConfig(embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32]))
        convnext_b = transformers.ConvNextModel(
            transformers.ConvNextConfig(hidden_sizes=[128, 256, 512, 1024], depths=[3, 3, 27, 3])
        )
    assert paper_blocks(swin_b) == tuple(range(10))
    assert paper_blocks(convnext_b) == tuple(range(15))
    assert [b.width for b in find_blocks(swin_b)][:5] == [128, 128, 256, 256, 512]


def test_backbone_and_offline_experts_get_no_gradient():
    learner = learner_of("vit", "adapter")
    learner.start_offline(1)
    learner.measure(batch("vit"))
    learner.add_head(2)
    learner.logits(learner.features(batch("vit"))).sum().backward()
    assert all(p.grad is None for p in learner.backbone_parameters())
    assert all(p.grad is None and not p.requires_grad for p in learner.experts["offline"].parameters())
    assert all(p.grad is not None for p in learner.online_parameters())


def test_a_fixed_scale_is_no_parameter():
    learned, fixed = (Learner(Backbone(vit()), AdapterPet(2, (0,), scale=s)).double() for s in (None, 0.1))
    assert "0.scale" in learned.expert_state("online")
    assert "0.scale" not in fixed.expert_state("online")


@pytest.mark.parametrize("method", ["adapter", "lora", "prefix"])
def test_experts_on_a_causal_text_model_with_padding_agree_with_separate_passes(method):
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2
        )
    )
    learner = Learner(Backbone(model.double().eval()), METHODS[method]((1, 2))).double()
    disturb(learner, "online")
    learner.start_offline(1)
    disturb(learner, "offline")
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 2 + [0] * 4], dtype=torch.bool)
    texts = {"input_ids": torch.randint(0, 32, (3, 6)), "attention_mask": mask, "labels": torch.zeros(3)}
    with torch.no_grad():
        together = learner.expert_features(texts, ["online", "offline"])
        for place, name in enumerate(["online", "offline"]):
            learner.use(name)
            assert torch.allclose(together[place], learner.features(texts), rtol=0, atol=1e-10)
        shorter = {k: v[1:2, :4] if v.ndim == 2 else v[:1] for k, v in texts.items()}
        assert torch.allclose(learner.features(shorter)[0], together[1, 1], rtol=0, atol=1e-10)


def test_an_unknown_layout_is_refused_with_what_was_looked_for():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4)])

        def features(self, inputs):
            return inputs["pixel_values"]

    with pytest.raises(UsageError, match=r"Looked for a list of modules.*k_proj.*found layers \(1 x Linear\)"):
        make_learner(Plain(), AdapterPet(2, (0,)))
    assert make_learner(Plain(), None).measure({"pixel_values": torch.zeros(1, 4)}) == 4


def test_any_module_gives_features_by_the_name_of_its_classifier():
    class Convolutional(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.classifier = nn.Conv2d(1, 3, 8), nn.Linear(3, 10)

        def forward(self, pixel_values):
            return self.classifier(self.body(pixel_values).flatten(1))

    backbone = Backbone(Convolutional().double(), feature_module="classifier")
    assert backbone.features({"pixel_values": images_for("vit")}).shape == (4, 3)
    with pytest.raises(UsageError, match="feature_module"):
        Backbone(Convolutional())
    with pytest.raises(UsageError, match=r"no module 'head'; its parts are body, classifier"):
        Backbone(Convolutional(), feature_module="head")


def test_methods_in_the_wrong_place_say_which_one_fits():
    with pytest.raises(UsageError, match="take the method conv-adapter"):
        Learner(Backbone(convnext()), AdapterPet(2, (0,)))
    with pytest.raises(UsageError, match="take the method adapter"):
        Learner(Backbone(swin()), ConvAdapterPet(2, (0,)))
    with pytest.raises(UsageError, match="there is no block 3; the backbone has 3"):
        Learner(Backbone(vit()), AdapterPet(2, (3,)))


def test_prompt_pool_puts_prompts_in_front_and_pulls_keys():
    learner = Learner(Backbone(vit()), PromptPoolPet(4, 2, 2, 0.5)).double()
    found = learner.features(batch("vit"))
    assert found.shape == (4, 16)
    loss = found.sum() + learner.auxiliary()
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learner.online_parameters())
    learner.start_offline(1)
    disturb(learner, "offline")
    with torch.no_grad():
        together = learner.expert_features(batch("vit"), ["online", "offline"])
        for place, name in enumerate(["online", "offline"]):
            learner.use(name)
            assert torch.allclose(together[place], learner.features(batch("vit")), rtol=0, atol=1e-10)


def test_swin_pools_all_tokens_and_has_the_official_fault_as_an_option():
    images = batch("swin")
    right, official = Backbone(swin()), Backbone(swin(), pooling="mean-without-last")
    tokens = right.output(images).last_hidden_state
    assert torch.equal(right.features(images), tokens.mean(dim=1))
    assert torch.equal(official.features(images), tokens[:, :-1].mean(dim=1))


def test_a_saved_learner_comes_back_bitwise(tmp_path):
    learner = learner_of("vit", "lora")
    learner.measure(batch("vit"))
    learner.add_head(3)
    learner.start_offline(1)
    disturb(learner, "offline")
    learner.save(tmp_path)
    other = learner_of("vit", "lora")
    other.width = learner.width
    with torch.no_grad():
        for weight in other.backbone_parameters():
            weight.zero_()
    other.restore(tmp_path)
    with torch.no_grad():
        assert torch.equal(other.expert_logits(batch("vit")), learner.expert_logits(batch("vit")))
