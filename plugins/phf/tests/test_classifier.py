"""A sequence classifier of transformers as a scorer."""

import pytest

from omnitrain.errors import UsageError
from omnitrain_phf.scorers.make import make_scorer


def test_classifier_by_path_gives_the_probability_of_its_label(tmp_path):
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    from omnitrain_phf.configs.scorers import ClassifierConfig

    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]))
    config = BertConfig(
        vocab_size=7,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        id2label={0: "fine", 1: "toxic"},
        label2id={"fine": 0, "toxic": 1},
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    BertTokenizerFast(vocab=str(vocabulary)).save_pretrained(tmp_path)
    scores = {
        label: make_scorer(ClassifierConfig(path=str(tmp_path), label=label)).score(["good bad", "bad"])
        for label in ("fine", "toxic")
    }
    assert [a + b for a, b in zip(*scores.values(), strict=True)] == pytest.approx([1.0, 1.0], rel=1e-5)
    with pytest.raises(UsageError, match="it has fine, toxic"):
        make_scorer(ClassifierConfig(path=str(tmp_path), label="rude"))
