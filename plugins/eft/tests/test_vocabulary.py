"""Tokenizers compared, and rows behind the shared vocabulary."""

import pytest
import torch
from helpers import FACTS, VOCABULARY, config, gpt2
from transformers import PreTrainedTokenizerFast

from omnitrain.errors import DataError
from omnitrain_eft.models.composition import CompositionModel
from omnitrain_eft.models.vocabulary import check_rows, check_vocabularies


def test_extra_rows_of_an_expert_are_cut_and_too_few_are_refused():
    small = {"use": "eft/causal"}
    members = {"large": gpt2(1, 16, 0), "small": gpt2(1, 16, 1), "expert-0": gpt2(1, 16, 2, vocabulary=VOCABULARY + 3)}
    model = CompositionModel(config(small=small), members, FACTS)
    assert model(torch.tensor([[3]])).logits.shape[-1] == VOCABULARY
    with pytest.raises(DataError, match="expert 0 gives logits for 40 ids, the shared tokenizer has 50"):
        CompositionModel(config(small=small), {**members, "expert-0": gpt2(1, 16, 2, vocabulary=40)}, FACTS)


def tokenizer(words, **special):
    from tokenizers import Tokenizer, models

    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}))
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", **special)


def test_vocabularies_are_compared_id_by_id():
    words = ["</s>", "a", "b", "c"]
    reference = tokenizer(words)
    assert check_vocabularies({"large": reference, "expert": tokenizer([*words, "<pad>"])}) == 4
    with pytest.raises(DataError, match=r"large and expert differ: id 2 is 'b' there and 'c' here"):
        check_vocabularies({"large": reference, "expert": tokenizer(["</s>", "a", "c", "b"])})
    with pytest.raises(DataError, match="bos_token_id is 1 there and 2 here"):
        check_vocabularies({"large": tokenizer(words, bos_token="a"), "expert": tokenizer(words, bos_token="b")})
    with pytest.raises(DataError, match="the tokenizer of expert has 3 ids, that of large has 4"):
        check_vocabularies({"large": reference, "expert": tokenizer(words[:3])})
    assert check_rows({"large": 6, "expert": 5}, 4) == 4
    assert check_rows({"large": 6, "expert": 5}, 0) == 5
