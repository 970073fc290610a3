"""Texts of models of transformers: beams, n-grams, samples, stops, saved settings, prompts of ids."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bart import write_bart
from conftest import FakeContext
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from omnitrain.errors import UsageError
from omnitrain_language.decoding import generate_ids
from omnitrain_language.generating import generate_rows
from omnitrain_language.predictor import LanguagePredictor, build_predictor
from omnitrain_language.sampling import GenerationSettings, choose, uniform_draws
from omnitrain_language.saved_settings import chosen_settings, describe_saved, read_saved
from omnitrain_language.stopping import HeldBack, cut_text
from omnitrain_language.tokenizers import load_tokenizer
from omnitrain_language.writing import by_length
from omnitrain_testing.tokenizers import make_model

PROMPTS = ["the old mill and the", "a river", "water at night while the baker waits for", "if not", "bread"]


def open_model(folder: Path, two_sided: bool) -> LanguagePredictor:
    auto = AutoModelForSeq2SeqLM if two_sided else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        model = auto.from_pretrained(str(folder)).eval()
    return LanguagePredictor(model, load_tokenizer(folder))


@pytest.fixture(scope="module")
def predictors(tmp_path_factory):
    found = {}
    for family in ("byte-bpe", "dummy-prefix", "unigram"):
        folder = tmp_path_factory.mktemp(family)
        make_model(family, folder, seed=3)
        found[family] = open_model(folder, family == "unigram")
    folder = tmp_path_factory.mktemp("bart")
    write_bart(folder, forced_bos_token_id=0)
    found["bart"] = open_model(folder, True)
    return found


ALL = ["byte-bpe", "dummy-prefix", "unigram", "bart"]


def theirs(predictor, rows, **settings):
    """One prompt at a time through `generate` of transformers, without anything of ours."""
    found = []
    for row in rows:
        ids = torch.tensor([row])
        out = predictor.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            eos_token_id=predictor.eos_ids,
            pad_token_id=predictor.tokenizer.pad_token_id or predictor.tokenizer.eos_token_id,
            do_sample=False,
            **settings,
        )
        before = 1 if predictor.config.is_encoder_decoder else len(row)
        for ids in out[:, before:].tolist():
            found.append(ids[: next((i for i, t in enumerate(ids) if t in predictor.eos_ids), len(ids))])
    return found


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(
    "settings",
    [
        {"num_beams": 4, "no_repeat_ngram_size": 2},
        {"num_beams": 3, "samples": 3, "length_penalty": 2.0, "early_stopping": True},
        {"no_repeat_ngram_size": 1, "min_new_tokens": 3},
    ],
)
def test_beams_and_ngrams_are_those_of_transformers_one_prompt_at_a_time(predictors, family, settings):
    predictor = predictors[family]
    rows = predictor.encode_prompts(PROMPTS, 7)
    named = {("num_return_sequences" if name == "samples" else name): value for name, value in settings.items()}
    wanted = theirs(predictor, rows, max_new_tokens=7, **named)
    assert predictor.continue_ids(rows, GenerationSettings(max_new_tokens=7, **settings)) == wanted
    texts = predictor.generate_text(PROMPTS, max_new_tokens=7, batch_size=2, skip_special_tokens=False, **settings)
    assert texts == [
        text
        for row, ids in zip([r for r in rows for _ in range(settings.get("samples", 1))], wanted, strict=True)
        for text in [continued(predictor, row, ids)]
    ]


def continued(predictor, row, ids):
    from omnitrain_language.detokenising import continuation

    return continuation(predictor.tokenizer, [] if predictor.config.is_encoder_decoder else row, ids, False)


@pytest.mark.parametrize("family", ALL)
def test_samples_have_draws_of_their_own_and_the_first_is_the_only_one_of_before(predictors, family):
    predictor = predictors[family]
    settings = {"max_new_tokens": 6, "temperature": 1.5, "seed": 5}
    before = torch.get_rng_state()
    alone = predictor.generate_text(PROMPTS, **settings)
    several = predictor.generate_text(PROMPTS, samples=3, **settings)
    assert torch.equal(torch.get_rng_state(), before)
    assert several[::3] == alone
    assert len(set(several)) > len(PROMPTS)
    assert predictor.generate_text(PROMPTS[:2], samples=3, batch_size=1, **settings) == several[:6]


@pytest.mark.parametrize("family", ALL)
def test_drawn_tokens_are_those_of_the_own_loop_without_cache(predictors, family):
    """What `generate` is made to choose is what the draws mean: the distribution of a whole forward pass, token by token."""
    predictor = predictors[family]
    model, row = predictor.model, predictor.encode_prompts(["a river runs"], 8)[0]
    settings = GenerationSettings(8, temperature=0.9, top_k=40, top_p=0.95, seed=11)
    forced = getattr(model.generation_config, "forced_bos_token_id", None)
    wanted, draws = [], uniform_draws(11, 4, 8)
    for step in range(8):
        with torch.no_grad():
            if predictor.config.is_encoder_decoder:
                start = [predictor.config.decoder_start_token_id, *wanted]
                logits = model(input_ids=torch.tensor([row]), decoder_input_ids=torch.tensor([start])).logits
            else:
                logits = model(input_ids=torch.tensor([row + wanted])).logits
        token = int(choose(logits[:, -1].float(), settings, draws[step : step + 1])[0])
        if step == 0 and forced is not None:
            token = forced
        if step == 7 and getattr(model.generation_config, "forced_eos_token_id", None) is not None:
            break
        if token in predictor.eos_ids:
            break
        wanted.append(token)
    assert predictor.continue_ids([row], settings, numbers=[4]) == [wanted]


def test_settings_of_a_search_and_of_draws_exclude_each_other():
    with pytest.raises(UsageError, match=r"num_beams 3 searches and temperature 0\.7 draws: set num_beams to 1 or temperature"):
        GenerationSettings(num_beams=3, temperature=0.7)
    with pytest.raises(UsageError, match="samples 2 of a prompt would be equal: set temperature above 0, or num_beams"):
        GenerationSettings(samples=2)
    with pytest.raises(UsageError, match="num_beams and samples must be at least 1"):
        GenerationSettings(num_beams=0)


def test_what_nobody_asks_for_is_taken_from_the_saved_generation_config():
    saved = read_saved({"do_sample": True, "top_p": 0.9, "num_beams": 4, "repetition_penalty": 1.2, "eos_token_id": 3})
    assert saved == {"temperature": 1.0, "top_k": 50, "top_p": 0.9, "num_beams": 4, "repetition_penalty": 1.2}
    drawn = chosen_settings(saved, {"temperature": 0.5})
    assert (drawn.temperature, drawn.top_k, drawn.top_p, drawn.num_beams) == (0.5, 50, 0.9, 1)
    searched = chosen_settings(saved, {"num_beams": 2})
    assert (searched.temperature, searched.num_beams) == (0.0, 2)
    greedy = chosen_settings(read_saved({"temperature": 0.6, "max_new_tokens": 9}), {})
    assert greedy == GenerationSettings(max_new_tokens=9, banned_ids=[])
    with pytest.raises(UsageError, match="set num_beams to 1 or"):
        chosen_settings(saved, {})
    assert describe_saved({"min_p": 0.1, "num_beams": 4}) == {
        "num_beams": 4,
        "note": "taken where no other value is set",
        "not_taken": "min_p",
    }


def test_saved_settings_are_told_and_used(tmp_path):
    write_bart(tmp_path, num_beams=3, no_repeat_ngram_size=2, forced_bos_token_id=0, max_new_tokens=6)
    context = FakeContext(tmp_path / "workspace")
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForSeq2SeqLM.from_pretrained(str(tmp_path)).eval()
    predictor = build_predictor(model, tmp_path, context)
    told = {"num_beams": 3, "no_repeat_ngram_size": 2, "forced_bos_token_id": 0, "forced_eos_token_id": 2, "max_new_tokens": 6}
    assert context.events == [{"event": "generation_config", **told, "note": "taken where no other value is set"}]
    assert list(context.events[0]) == ["event", *sorted(told), "note"]
    asked = predictor.generate_text(PROMPTS, num_beams=3, no_repeat_ngram_size=2, max_new_tokens=6)
    assert predictor.generate_text(PROMPTS) == asked
    assert predictor.generate_text(PROMPTS, num_beams=1, no_repeat_ngram_size=0) != asked
    assert model.generation_config.num_beams == 3


@pytest.mark.parametrize("family", ["byte-bpe", "unigram", "bart"])
def test_texts_end_in_front_of_a_stop_and_show_no_part_of_it(predictors, family):
    predictor = predictors[family]
    settings = {"max_new_tokens": 24, "temperature": 1.0, "seed": 2}
    whole = predictor.generate_text(PROMPTS, **settings)
    stop = whole[0][3:5]
    shown: dict[int, str] = {}
    texts = predictor.generate_text(
        PROMPTS,
        stop=[stop, "never written"],
        batch_size=3,
        on_text=lambda n, text: shown.update({n: shown.get(n, "") + text}),
        **settings,
    )
    assert texts == [cut_text(text, [stop]) for text in whole]
    assert [shown.get(n, "").rstrip("\ufffd") for n in range(len(texts))] == [text.rstrip("\ufffd") for text in texts]
    rows = predictor.encode_prompts(PROMPTS[:1], 24)
    stopped = predictor.continue_ids(
        rows, GenerationSettings(24, 1.0, seed=2), ended=lambda place, ids: stop in continued(predictor, rows[place], ids)
    )[0]
    assert stop in continued(predictor, rows[0], stopped)
    assert stop not in continued(predictor, rows[0], stopped[:-1])


def test_beams_end_at_stops_too(predictors):
    predictor = predictors["byte-bpe"]
    whole = predictor.generate_text(PROMPTS[:2], max_new_tokens=12, num_beams=3)
    stop = whole[0][2:4]
    shown = []
    texts = predictor.generate_text(
        PROMPTS[:2], max_new_tokens=12, num_beams=3, stop=[stop], on_text=lambda n, text: shown.append((n, text))
    )
    assert all(stop not in text for text in texts)
    assert sorted(shown) == list(enumerate(texts))


def test_text_that_may_be_a_stop_is_held_back_until_it_is_known():
    shown: list[str] = []
    held = HeldBack(lambda row, text: shown.append(text), ["</a>"])
    for piece in ("x<", "/", "b", "</", "a>", "never"):
        held(0, piece)
    held.end()
    assert shown == ["x", "</b"]
    rest = HeldBack(lambda row, text: shown.append(text), ["</a>"])
    rest(0, "y</")
    rest.end()
    assert "".join(shown[2:]) == "y</"


def test_prompts_of_ids_are_taken_as_they_are(predictors):
    predictor = predictors["byte-bpe"]
    row = predictor.encode_prompts(["the old mill"], 5)[0]
    assert predictor.generate_text([row], max_new_tokens=5) == predictor.generate_text(["the old mill"], max_new_tokens=5)


@pytest.mark.parametrize("family", ALL)
def test_an_answer_goes_on_from_its_beginning(predictors, family):
    predictor = predictors[family]
    if not predictor.config.is_encoder_decoder:
        joined = predictor.generate_text(["a river runs"], max_new_tokens=4)
        assert predictor.generate_text(["a river"], begin=" runs", max_new_tokens=4) == joined
        return
    row = predictor.encode_prompts(["a river"], 4)[0]
    begin = predictor.tokenizer("the mill", add_special_tokens=False).input_ids
    forced = [0] if family == "bart" else []
    start = [predictor.config.decoder_start_token_id, *forced, *begin]
    out = predictor.model.generate(
        input_ids=torch.tensor([row]),
        decoder_input_ids=torch.tensor([start]),
        max_new_tokens=4,
        do_sample=False,
        eos_token_id=predictor.eos_ids,
    )[0, len(start) :].tolist()
    kept = out[: next((i for i, t in enumerate(out) if t in predictor.eos_ids), len(out))]
    assert predictor.continue_ids([row], GenerationSettings(4), begin=begin) == [kept]
    assert predictor.generate_text(["a river"], begin="the mill", max_new_tokens=4)[0] is not None


def test_special_tokens_survive_where_they_are_asked_to(predictors):
    predictor = predictors["bart"]
    kept = predictor.generate_text(["a river"], max_new_tokens=3, skip_special_tokens=False)[0]
    assert kept.startswith("<s>")
    assert predictor.generate_text(["a river"], max_new_tokens=3)[0] == kept.removeprefix("<s>")


def test_prompts_beyond_the_positions_of_an_encoder_are_refused(predictors):
    predictor = predictors["bart"]
    with pytest.raises(UsageError, match=r"prompt 1 has 1.. tokens, more than the encoder's 64 positions: shorten it"):
        predictor.generate_text(["a", "x" * 100], max_new_tokens=5)
    with pytest.raises(UsageError, match="max_new_tokens 65"):
        predictor.generate_text(["a"], max_new_tokens=65)


@pytest.mark.parametrize("style", ["gpt2", "llama", "prefix", "t5", "bart"])
def test_adapters_write_through_generate_too(context: FakeContext, style: str):
    settings: dict[str, object] = {"size": "tiny", "lora": {"rank": 2}}
    if style in ("t5", "bart"):
        model = context.make("t5", "model", {"vocabulary_size": 60}, style=style, **settings)
    else:
        more = {"style": "gpt2" if style == "gpt2" else "llama", "prefix_attention": style == "prefix"}
        model = context.make("causal", "model", {"vocabulary_size": 60}, max_length=32, **more, **settings)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    model.eval()
    prompts = [[5, 6, 7, 8], [9, 10]]
    settings = GenerationSettings(max_new_tokens=4, min_new_tokens=4)
    adapted = generate_rows(model, prompts, settings, [1], 0)
    merged = generate_rows(model.merge_and_unload(), prompts, settings, [1], 0)
    assert adapted == merged
    assert adapted == generate_rows(model, prompts[:1], settings, [1], 0) + generate_rows(model, prompts[1:], settings, [1], 0)


def test_a_composition_says_what_it_cannot_do():
    with pytest.raises(UsageError, match="num_beams, samples, no_repeat_ngram_size and stop need a single model"):
        generate_ids(SimpleNamespace(), [[1]], GenerationSettings(num_beams=2), [1])
    with pytest.raises(UsageError, match="Linear is no generating model of transformers: give its predictor a `continue_ids`"):
        generate_rows(torch.nn.Linear(1, 1), [[1]], GenerationSettings(), [1], 0)


def test_settings_that_another_kind_of_model_does_not_know_are_refused(context: FakeContext):
    class Own:
        def generate_text(self, prompts, *, max_new_tokens, seed, prefix, temperature=0.0):
            return [f"{temperature}" for _ in prompts]

    evaluator = context.make("samples", "evaluator", prompts=["a"], temperature=0.5)
    assert evaluator(Own(), None, context).samples["samples"][0].fields["output"] == "0.5"
    with pytest.raises(UsageError, match="this model knows no num_beams, skip_special_tokens while it writes: leave them out"):
        context.make("samples", "evaluator", prompts=["a"], num_beams=2, skip_special_tokens=False)(Own(), None, context)


def test_batches_hold_rows_of_like_length_longest_first():
    assert list(by_length([3, 9, 4, 9, 1], 2)) == [[1, 3], [2, 0], [4]]
    assert list(by_length([], 2)) == []
