"""What happens between combined logits and a token."""

import torch
from helpers import EOS, VOCABULARY

from omnitrain_eft.models.decoding.loop import Decoding, generate
from omnitrain_eft.models.decoding.plain import CompositionDecoder
from omnitrain_eft.models.decoding.processors import Processing
from omnitrain_eft.paper.composition import Dials


def test_processors_come_in_the_order_of_transformers(ensemble):
    from transformers import (
        LogitsProcessorList,
        MinNewTokensLengthLogitsProcessor,
        MinPLogitsWarper,
        NoRepeatNGramLogitsProcessor,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    history = [3, 4, 3, 4, 3]
    scores = 3 * torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(0))
    peer = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.4),
            NoRepeatNGramLogitsProcessor(2),
            MinNewTokensLengthLogitsProcessor(3, 4, 1, device="cpu"),
            TemperatureLogitsWarper(0.7),
            TopKLogitsWarper(20),
            TopPLogitsWarper(0.8),
            MinPLogitsWarper(0.02),
        ]
    )
    ours = Processing(0.7, 20, 0.8, 0.02, repetition_penalty=1.4, no_repeat_ngram_size=2, min_new_tokens=4)
    found = ours(scores, [history], [2], [1])
    torch.testing.assert_close(found, peer(torch.tensor([history]), scores))


def test_custom_processors_and_banned_ids_are_applied(ensemble):
    def only_nine(ids, scores):
        kept = torch.full_like(scores, -torch.inf)
        kept[:, 9] = scores[:, 9]
        return kept

    found = generate(CompositionDecoder(ensemble, Dials()), [[4, 5]], Decoding(3, Processing(0.0, custom=(only_nine,))), EOS, 0)
    assert found.rows == [[9, 9, 9]]
    banned = tuple(i for i in range(VOCABULARY) if i != 8)
    found = generate(CompositionDecoder(ensemble, Dials()), [[4]], Decoding(2, Processing(0.0, banned_ids=banned)), EOS, 0)
    assert found.rows == [[8, 8]]
