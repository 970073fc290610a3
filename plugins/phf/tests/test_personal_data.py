"""Personal data: made-up contacts are found, and texts are scored together as one by one."""

from omnitrain_phf.configs.scorers import (
    ScrubadubConfig,
)
from omnitrain_phf.scorers.contacts import contact, contact_documents
from omnitrain_phf.scorers.make import make_scorer


def test_personal_data_of_many_texts_is_that_of_each():
    scorer = make_scorer(ScrubadubConfig())
    texts = [text for _, text in contact_documents(0.5, 600)] + ["", "a@b.com and c@d.org"]
    assert scorer.score(texts) == [scorer.score([text])[0] for text in texts]
    assert scorer.score(texts) == [len(scorer.filth(text)) / len(text) if text else 0.0 for text in texts]


def test_every_made_up_contact_is_found_and_plain_sentences_hold_none():
    import numpy as np

    scorer = make_scorer(ScrubadubConfig())
    generator = np.random.default_rng(3)
    assert min(scorer.score([contact(generator) for _ in range(300)])) > 0
    plain = [text for _, text in contact_documents(0.0, 1200)]
    assert sum(score > 0 for score in scorer.score(plain)) <= len(plain) * 0.01
