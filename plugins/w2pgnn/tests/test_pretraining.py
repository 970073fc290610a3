"""Pre-training data, encoder, losses and downstream scores."""

from itertools import islice

import networkx as nx
import numpy as np
import pytest
import torch

from omnitrain.api import BatchPlan, UseData
from omnitrain.errors import DataError, UsageError
from omnitrain_w2pgnn.configs.data import AugmentationsConfig, GraphsConfig, MaskedConfig, SavedGraphsConfig, WalksConfig
from omnitrain_w2pgnn.configs.evaluators import DownstreamConfig
from omnitrain_w2pgnn.configs.models import GinConfig
from omnitrain_w2pgnn.configs.objectives import ContrastConfig, MaskingConfig, MocoConfig
from omnitrain_w2pgnn.configs.stages import PretrainConfig, TuningConfig
from omnitrain_w2pgnn.data.augmentations import Augmentations
from omnitrain_w2pgnn.data.collection import graphs_of
from omnitrain_w2pgnn.data.graphs import GraphsData
from omnitrain_w2pgnn.data.masked import Masked
from omnitrain_w2pgnn.data.saved import SavedGraphs, save_graphs
from omnitrain_w2pgnn.data.walks import Walks
from omnitrain_w2pgnn.evaluators.downstream import (
    embeddings,
    finetuned_scores,
    fold_score,
    frozen_scores,
    make_target,
    prepared_batches,
)
from omnitrain_w2pgnn.graphs.augmenting import augment, hide
from omnitrain_w2pgnn.graphs.embedded import EMBEDDED, with_degree_labels
from omnitrain_w2pgnn.graphs.tensors import graphs_of_batch, paired, rows_of, split_pairs, structural, view
from omnitrain_w2pgnn.models import GraphEncoder
from omnitrain_w2pgnn.objectives import Contrast, Masking, Moco, normalised_contrast
from omnitrain_w2pgnn.stages.pretraining import Held, make_encoder, pretrain, set_rate

USE = UseData(use="w2pgnn/graphs")
SMALL = GinConfig(hidden=16, output=16, layers=3, max_degree=32)


@pytest.fixture
def karate(context):
    graphs = GraphsData(GraphsConfig(path="karate"), context)
    context.builder = lambda use, facts: graphs
    return context


VIEWS = {
    "walks": lambda c: Walks(WalksConfig(graphs=USE, positions=4, visits=12), c),
    "augmentations": lambda c: Augmentations(AugmentationsConfig(graphs=USE, positions=4), c),
    "masked": lambda c: Masked(MaskedConfig(graphs=USE, positions=4), c),
}


@pytest.mark.parametrize("name", VIEWS)
def test_streams_go_on_where_they_stood(name, karate):
    stream = VIEWS[name](karate).batches("train", BatchPlan(4, 3))
    whole = list(islice(iter(stream), 4))
    again = VIEWS[name](karate).batches("train", BatchPlan(4, 3))
    next(iter(again))
    later = VIEWS[name](karate).batches("train", BatchPlan(4, 3))
    later.load_state_dict(again.state_dict())
    for wanted, found in zip(whole[1:], islice(iter(later), 3), strict=True):
        assert all(np.array_equal(np.asarray(wanted[k]), np.asarray(found[k])) for k in wanted)


@pytest.mark.parametrize("name", VIEWS)
def test_validation_ends_and_is_the_same_at_every_pass(name, karate):
    data = VIEWS[name](karate)
    first, again = (list(data.batches("valid", BatchPlan(4, 3, train=False))) for _ in range(2))
    assert len(first) == 4
    assert torch.equal(first[2]["degrees"], again[2]["degrees"])


def test_views_come_apart_and_split_into_rows(to_graphs):
    one, two = to_graphs(nx.path_graph(3), nx.star_graph(4), nx.cycle_graph(5)), to_graphs(*map(nx.complete_graph, (2, 3, 4)))
    batch = paired(structural(one, 4), structural(two, 4))
    for number, graphs in enumerate((one, two)):
        own = view(batch, number)
        assert all(torch.equal(own[k], v) for k, v in structural(graphs, 4).items())
        assert graphs_of_batch(own).digest() == graphs.digest()
    parts = split_pairs(batch, 2)
    assert [len(p["sizes"]) for p in parts] == [1, 2]
    assert torch.equal(view(parts[1], 1)["edge_index"], rows_of(structural(two, 4), 1, 3)["edge_index"])


def test_augmentations_change_what_their_kind_says():
    graphs = EMBEDDED["rings-and-stars"]()
    generator = np.random.default_rng(0)
    dropped, _ = augment(graphs, ["nodes"], 0.3, generator)
    assert 0.6 < dropped.nodes / graphs.nodes < 0.8
    rewired, _ = augment(graphs, ["edges"], 0.3, generator)
    assert rewired.nodes == graphs.nodes
    assert rewired.digest() != graphs.digest()
    same, hidden = augment(graphs, ["attributes"], 0.3, generator)
    assert np.array_equal(same.indices, graphs.indices)
    assert 0.2 < hidden.mean() < 0.4
    walked, _ = augment(graphs, ["subgraph"], 0.3, generator)
    assert 0 < walked.nodes < graphs.nodes
    for found in (dropped, rewired, walked):
        assert len(found) == len(graphs)
        assert found.sizes.min() >= 1


def test_hidden_edges_are_gone_and_their_rivals_are_none(to_graphs):
    graphs = to_graphs(*(nx.gnp_random_graph(20, 0.2, seed=s) for s in range(8)))
    found = hide(graphs, 0.2, 0.3, 5, np.random.default_rng(0))
    known = set(zip(graphs.sources().tolist(), graphs.indices.tolist(), strict=True))
    left = set(zip(found.graphs.sources().tolist(), found.graphs.indices.tolist(), strict=True))
    for (a, b), edge in zip(found.pairs.T.tolist(), found.is_edge.tolist(), strict=True):
        assert ((a, b) in known) == edge
        assert (a, b) not in left
    assert found.classes.max() < 5
    assert left == {(b, a) for a, b in left}


def test_encoder_is_blind_to_the_numbering_and_to_neighbours_in_the_batch(to_graphs):
    encoder = GraphEncoder(SMALL, 0, 4).eval()
    graph = nx.gnp_random_graph(15, 0.3, seed=2)
    other = nx.relabel_nodes(graph, {i: 14 - i for i in range(15)})
    both = nx.Graph()
    both.add_nodes_from(range(15))
    both.add_edges_from(other.edges)
    alone = encoder.embed(structural(to_graphs(graph), 0))
    batch = encoder.embed(structural(to_graphs(both, nx.star_graph(4)), 0))
    torch.testing.assert_close(alone[0], batch[0])
    torch.testing.assert_close(batch.norm(dim=1), torch.ones(2))


def test_encoder_has_the_size_of_gcc():
    encoder = GraphEncoder(GinConfig(), 32, 16)
    assert encoder.width == 64
    assert len(encoder.convolutions) == 4
    assert encoder.readouts[0].in_features == 49


def test_moco_follows_slowly_and_pushes_keys(karate):
    batch = next(iter(VIEWS["walks"](karate).batches("train", BatchPlan(4, 0))))
    torch.manual_seed(0)
    encoder = GraphEncoder(SMALL, 4, 4).train()
    objective = Moco(MocoConfig(queue=6, momentum=0.9), 5)
    state = objective.initial_state(encoder, batch)
    before = {k: v.clone() for k, v in state["keys"].items()}
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1.0)
    loss, after = objective.step(encoder, batch, state)
    name = "readouts.0.weight"
    torch.testing.assert_close(after["keys"][name], before[name] + 0.1)
    assert torch.equal(state["keys"][name], before[name])
    assert int(after["index"]) == 4
    assert torch.equal(after["queue"][4:], state["queue"][4:])
    assert not torch.equal(after["queue"][:4], state["queue"][:4])
    loss.total.backward()
    assert all(p.grad is not None for p in encoder.parameters())
    _, last = objective.step(encoder, batch, after)
    assert int(last["index"]) == 2


def test_normalised_contrast_leaves_the_own_pair_out_of_the_negatives():
    first, second = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    a, b = first / first.norm(dim=1, keepdim=True), second / second.norm(dim=1, keepdim=True)
    similarity = (a @ b.T / 0.2).exp()
    total = sum(
        -(similarity[i, i] / (similarity[i].sum() - similarity[i, i])).log() / 2
        - (similarity[i, i] / (similarity[:, i].sum() - similarity[i, i])).log() / 2
        for i in range(5)
    )
    torch.testing.assert_close(normalised_contrast(first, second, 0.2), total)
    assert float(normalised_contrast(first[:1], second[:1], 0.2)) == 0


def test_masking_adds_nodes_and_edges_and_needs_its_heads(karate):
    batch = next(iter(VIEWS["masked"](karate).batches("train", BatchPlan(6, 0))))
    encoder = GraphEncoder(SMALL.model_copy(update={"head": "masking"}), 4, 16)
    loss = Masking(MaskingConfig())(encoder, batch)
    parts = loss.parts
    assert float(loss.total.detach()) == pytest.approx(float(parts["nodes"].total) + float(parts["edges"].total), rel=1e-6)
    assert float(loss.weight) == int(batch["hidden"].sum()) + len(batch["pair_edge"])
    with pytest.raises(UsageError, match="head: masking"):
        Masking(MaskingConfig())(GraphEncoder(SMALL, 4, 16), batch)


def test_graphs_come_back_from_disk_and_from_other_plugins_batches(tmp_path, karate, to_graphs):
    graphs = with_degree_labels(EMBEDDED["karate"]())
    for name in ("network", "samples"):
        save_graphs(graphs, tmp_path / name)
    saved = SavedGraphs(SavedGraphsConfig(path=str(tmp_path)))
    assert saved.network().digest() == graphs.digest()

    class Foreign:
        def __init__(self):
            self.batch = {"edge_index": "int64[2, edges]", "batch": "int64[nodes]"}

        def examples(self, split):
            return [0, 1]

        def collate(self, examples):
            found = structural(to_graphs(*(nx.cycle_graph(4 + e) for e in examples)), 0)
            return {"edge_index": found["edge_index"], "batch": found["node_graph"]}

    network, _ = graphs_of(Foreign(), "foreign", karate)
    assert network.sizes.tolist() == [4, 5]
    with pytest.raises(UsageError, match="expected data that yields graphs"):
        graphs_of(object(), "nothing", karate)


def test_pretraining_on_walks_falls_below_chance_and_separates_roles():
    graphs = with_degree_labels(EMBEDDED["les-miserables"]())
    device, config = torch.device("cpu"), PretrainConfig(steps=60, batch_size=24, visits=24)
    encoder = make_encoder("gcc-e2e", SMALL.model_copy(update={"dropout": 0.0}), 8, 0)
    held = Held((graphs, graphs), "")
    found = pretrain("gcc-e2e", held, encoder, config, 8, device, lambda name: 5, lambda: None)
    assert found.last < 0.8 * found.chance
    target = make_target("roles", graphs, DownstreamConfig(visits=24, folds=3), np.random.default_rng(0))
    features = embeddings(encoder, prepared_batches(target, 8), device)
    scores = frozen_scores(features, target.labels, DownstreamConfig(folds=3), 1000.0, 0)
    assert np.mean(scores) > np.bincount(target.labels).max() / len(target.labels)


@pytest.mark.parametrize("strategy", ["gcc-moco", "graphcl", "masking"])
def test_every_strategy_trains(strategy):
    graphs = EMBEDDED["karate"]()
    config = PretrainConfig(steps=12, batch_size=8, visits=12, queue=16)
    encoder = make_encoder(strategy, SMALL, 4, 0)
    before = [p.clone() for p in encoder.parameters()]
    found = pretrain(strategy, Held((graphs, graphs), ""), encoder, config, 4, torch.device("cpu"), lambda n: 1, lambda: None)
    assert np.isfinite([found.first, found.last]).all()
    assert any(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


def test_learning_rate_rises_over_a_tenth_and_falls_to_zero():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    rates = []
    for step in range(100):
        set_rate(optimiser, PretrainConfig(steps=100, learning_rate=2.0), step)
        rates.append(optimiser.param_groups[0]["lr"])
    assert max(rates) == pytest.approx(2.0)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] < 0.03


def test_whole_graphs_are_told_apart_after_fine_tuning():
    graphs = EMBEDDED["rings-and-stars"]()
    target = make_target("rings", graphs, DownstreamConfig(folds=2), np.random.default_rng(0))
    ticks = []
    scores = finetuned_scores(
        lambda: make_encoder("gcc-e2e", SMALL, 4, 0),
        target,
        TuningConfig(epochs=4, folds=2, batch_size=8),
        "micro-f1",
        4,
        torch.device("cpu"),
        0,
        lambda: ticks.append(1),
    )
    assert len(ticks) == 8
    assert np.mean(scores) > 0.9


def test_targets_without_labels_or_with_rare_classes_are_refused(to_graphs):
    generator = np.random.default_rng(0)
    with pytest.raises(DataError, match="has no labels"):
        make_target("t", to_graphs(nx.path_graph(5)), DownstreamConfig(), generator)
    with pytest.raises(DataError, match="lower folds"):
        make_target("t", EMBEDDED["karate"](), DownstreamConfig(folds=20), generator)


def test_roc_auc_is_that_of_ranks_and_half_for_one_class():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    assert fold_score("roc-auc", np.array([0, 1, 1]), probabilities) == 1
    assert fold_score("roc-auc", np.array([1, 1, 1]), probabilities) == 0.5
    assert fold_score("micro-f1", np.array([0, 0, 1]), probabilities) == pytest.approx(2 / 3)


def test_contrast_tells_the_loss_of_chance(karate):
    batch = next(iter(VIEWS["walks"](karate).batches("train", BatchPlan(6, 0))))
    loss = Contrast(ContrastConfig())(GraphEncoder(SMALL, 4, 4), batch)
    assert float(loss.parts["chance"].total) / 6 == pytest.approx(np.log(6), rel=1e-6)
