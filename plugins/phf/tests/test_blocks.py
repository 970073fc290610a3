"""From documents to blocks: control tokens, scores, borders, filtering, skipping."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitrain_phf.configs.objectives import AwrConfig, UnlikelihoodConfig
from omnitrain_phf.data.blocks import BlockLayout, BlockReader, Control, SeededDraws, ranges, skipped
from omnitrain_phf.data.corpus import Corpus
from omnitrain_phf.evidence.parity import _Fixed, _toy_corpus
from omnitrain_phf.objectives import Awr, Unlikelihood
from omnitrain_phf.paper.alignment import align

EOS, GOOD, BAD = 0, 1, 2
CONTROL = Control(0.5, 0.0, (GOOD, BAD), (3, 3))
LAYOUT = BlockLayout(length=4, eos_id=EOS, eos_characters=1, buffer_characters=1000, control=CONTROL)


def corpus_of(*documents):
    """Each document: [(text, score), ...]; a character c is token 3 + ord(c)."""
    records = [
        {"texts": [t for t, _ in d], "scores": [s for _, s in d], "avg_score": float(np.mean([s for _, s in d]))}
        for d in documents
    ]
    return _toy_corpus({"only": records})


def read_all(corpus, layout, seed=0):
    reader = BlockReader(corpus, layout, SeededDraws(seed))
    blocks = []
    while (made := reader.next()) is not None:
        blocks.append(made)
    return np.concatenate([b.ids for b in blocks]), np.concatenate([b.scores for b in blocks]), reader


# Segments below, at and above the threshold; the document is longer than two blocks.
DOCUMENT = [("ab", 0.2), ("cd", 0.5), ("ef", 0.7)]


def test_document_crosses_a_border_with_labels_and_scores_in_step():
    ids, scores, _ = read_all(corpus_of(DOCUMENT, [("xyz", 0.0)]), LAYOUT)
    a = 3 + ord("a")
    flat = [EOS, GOOD, a, a + 1, GOOD, a + 2, a + 3, BAD, a + 4, a + 5, EOS, GOOD]
    assert ids.reshape(-1)[:12].tolist() == flat
    assert scores.reshape(-1)[:12].tolist() == pytest.approx([0.2] * 4 + [0.5] * 3 + [0.7] * 3 + [0.0] * 2)
    fields = align(ids, scores)
    second = fields["labels"][1, :3].tolist()
    assert second == [a + 2, a + 3, BAD]
    assert fields["token_scores"][1, :3].tolist() == pytest.approx([0.5, 0.5, 0.7])


def hard_loss(token_scores):
    """Unlikelihood with a hard threshold that has tokens of both sides, on the middle block of the document."""
    ids, scores, _ = read_all(corpus_of(DOCUMENT, [("xyz", 0.0)]), LAYOUT)
    fields = {name: torch.from_numpy(array) for name, array in align(ids, scores).items()}
    fields["token_scores"] = token_scores(fields["token_scores"], torch.from_numpy(scores))
    logits = torch.randn(*ids.shape, 110, generator=torch.Generator().manual_seed(0))
    objective = Unlikelihood(UnlikelihoodConfig(mode="threshold", score_threshold=0.5, alpha=1.0))
    return objective(_Fixed(logits, None), fields), logits, fields


def test_hard_threshold_takes_each_label_by_its_own_score():
    found, logits, fields = hard_loss(lambda aligned, own: aligned)
    log_p = torch.log_softmax(logits, -1).gather(-1, fields["labels"][..., None])[..., 0]
    labels = fields["labels"]
    # The tokens of "ef" and their control token; the first two blocks hold the document.
    bad = (labels == BAD) | (labels == 3 + ord("e")) | (labels == 3 + ord("f"))
    assert bad.any()
    terms = torch.where(bad, -torch.log1p(-log_p.exp()), -log_p)
    expected = float(terms[:, :3].sum())
    assert float(found.total) == pytest.approx(expected, rel=1e-5)


def test_scores_shifted_by_one_give_another_loss():
    right = float(hard_loss(lambda aligned, own: aligned)[0].total)
    # The mistake to be caught: scores of the position's own token.
    wrong = float(hard_loss(lambda aligned, own: own)[0].total)
    assert abs(right - wrong) > 0.1


def test_values_are_compared_with_the_score_of_the_token_that_they_predict():
    ids, scores, _ = read_all(corpus_of(DOCUMENT, [("xyz", 0.0)]), LAYOUT)
    fields = {name: torch.from_numpy(array) for name, array in align(ids, scores).items()}
    generator = torch.Generator().manual_seed(0)
    logits, values = torch.randn(*ids.shape, 110, generator=generator), torch.randn(*ids.shape, generator=generator)
    objective = Awr(AwrConfig(alpha=0.25, beta=2.0))
    found = objective(_Fixed(logits, values), fields).total
    expected = 0.0
    for row, position in np.ndindex(*ids.shape):
        if position + 1 == ids.shape[1]:
            continue  # the last position of a block predicts nothing
        nll = -torch.log_softmax(logits[row, position], -1)[int(ids[row, position + 1])]
        advantage = -float(scores[row, position + 1]) - values[row, position]
        expected += 0.25 * (advantage / 2).exp() * nll + 0.75 * advantage**2
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    assert float(objective(_Fixed(logits, values.roll(1, 1)), fields).total) != pytest.approx(float(expected), rel=1e-2)


def test_filter_leaves_documents_above_the_threshold_out():
    corpus = corpus_of([("aaaa", 0.0)], [("bbbb", 1.0)], [("cccc", 0.5)])
    ids, _, reader = read_all(corpus, replace(LAYOUT, control=None, filter_threshold=0.5))
    assert set(ids.reshape(-1).tolist()) == {EOS, 3 + ord("a"), 3 + ord("c")}
    assert reader.position.included == 2


def test_skipped_tokens_leave_out_that_many_and_the_next_block_is_the_right_one():
    corpus = corpus_of(*[[("abcdefg", 0.0), ("hij", 0.9)] for _ in range(20)])
    layout = replace(LAYOUT, control=None)
    everything, _, _ = read_all(corpus, layout)
    withheld, begins = skipped(5 * 4, 4, official=False)
    ids, _, _ = read_all(corpus, replace(layout, skip_blocks=withheld, filter_from=begins))
    assert (withheld, begins) == (5, 5)
    assert ids.tolist() == everything[5:].tolist()
    assert skipped(5 * 4, 4, official=True)[0] == 4


def test_filter_sleeps_while_tokens_are_skipped():
    corpus = corpus_of(*[[("abcdefg", 0.9)] for _ in range(40)])
    layout = replace(LAYOUT, control=None, filter_threshold=0.5, buffer_characters=16, skip_blocks=10, filter_from=10)
    reader = BlockReader(corpus, layout, SeededDraws(0))
    while reader.next() is not None:
        pass
    # Two documents a buffer, four blocks: the third buffer brings the count to twelve.
    assert (reader.position.made, reader.position.included) == (12, 6)


SEGMENT = st.tuples(st.text("abcxyz", max_size=9), st.sampled_from([0.0, 0.5, 0.9]))


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(st.lists(SEGMENT, min_size=1, max_size=5), min_size=1, max_size=12),
    budget=st.integers(1, 60),
    length=st.integers(2, 9),
    dropped=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_carried_blocks_hold_every_token_once_whatever_the_buffer(documents, budget, length, dropped):
    corpus = corpus_of(*documents)
    layout = replace(LAYOUT, length=length, buffer_characters=budget, control=replace(CONTROL, dropped=dropped))
    ids, scores, reader = read_all(corpus, layout, seed=3)
    whole = BlockReader(corpus, replace(layout, buffer_characters=10**9), SeededDraws(3))
    expected = whole.tokens(whole.segments(np.arange(corpus.documents), 0))
    assert np.append(ids.reshape(-1), reader.position.tail_ids).tolist() == expected[0].tolist()
    assert np.append(scores.reshape(-1), reader.position.tail_scores).tolist() == expected[1].tolist()


def test_share_of_dropped_control_tokens_is_as_asked():
    corpus = corpus_of(*[[("ab", 0.0), ("cd", 0.9)] for _ in range(1000)])
    ids, _, _ = read_all(corpus, replace(LAYOUT, control=replace(CONTROL, dropped=0.25)))
    flat = ids.reshape(-1)
    assert (flat == GOOD).sum() / 1000 == pytest.approx(0.75, abs=0.05)
    assert (flat == BAD).sum() / 1000 == pytest.approx(0.75, abs=0.05)


def test_draws_are_entered_at_any_position():
    draws = SeededDraws(9)
    assert draws.at(0, 50)[17:30].tolist() == draws.at(17, 13).tolist()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=8))
def test_ranges_are_those_of_python(pairs):
    starts = np.array([a for a, _ in pairs], np.int64)
    counts = np.array([n for _, n in pairs], np.int64)
    assert ranges(starts, counts).tolist() == [i for a, n in pairs for i in range(a, a + n)]


def test_permuted_scores_keep_text_and_values_and_follow_no_segment():
    corpus = corpus_of(*[[("ab", 0.0), ("cd", 0.9), ("e", 0.1)] for _ in range(50)])
    mixed = corpus.permuted(1)
    assert sorted(mixed.segment_scores) == sorted(corpus.segment_scores)
    assert mixed.segment_scores.tolist() != corpus.segment_scores.tolist()
    means = [mixed.segment_scores[3 * i : 3 * i + 3].mean() for i in range(50)]
    assert mixed.document_scores.tolist() == pytest.approx(means)
    assert isinstance(mixed, Corpus)
