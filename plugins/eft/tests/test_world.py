"""Facts of the standard library and how they are talked about."""

from omnitrain_eft.configs.data import FactsConfig
from omnitrain_eft.data.world import Fact, corpus, reply_to


def test_corpus_mixes_behaviours_in_the_asked_shares():
    facts = [Fact("function", f"f{i}", f"Do thing number {i}.") for i in range(400)]
    documents = [t for _, t in corpus(facts, FactsConfig(lines=1, dialogues=5, refusals=0.5, helpful=0.5, hedged=0.0))]
    talks = [t for t in documents if t.startswith("User:")]
    refusing = sum("I can't say." in t for t in talks) / len(talks)
    assert len(documents) == 400 * 6
    assert abs(refusing - 0.5) < 0.05
    assert all("Sure!" in t for t in talks if "can't" not in t)


def test_helpful_replies_depend_on_the_kind_of_object():
    call, make = (reply_to(Fact(kind, "x", "A thing."), "helpful").style for kind in ("function", "class"))
    assert call != make
    assert reply_to(Fact("class", "x", "A thing."), "bare").text == "x: A thing."
