"""Saved models with a tokenizer, and the stage that composes them, as a user's recipe runs it."""

import yaml
from eft_models import VOCABULARY
from transformers import PreTrainedTokenizerFast

from omnitrain.engine.execution import Options, run_recipe
from omnitrain.recipes import resolve
from omnitrain.recipes.reading import read_text

WORDS = ["<pad>", "</s>", *(f"w{i}" for i in range(VOCABULARY - 2))]


def tokenizer(words=WORDS):
    from tokenizers import Tokenizer, models, pre_tokenizers

    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="<pad>")


def save(model, folder, words=WORDS):
    """Save a model with its tokenizer; return the folder as text."""
    model.save_pretrained(folder)
    tokenizer(words).save_pretrained(folder)
    return str(folder)


def compose(out, large, small, expert, **settings):
    """Run `eft/compose` on settings of three members (small may be None); return the run's folder."""
    model = {
        "use": "eft/composition",
        "large": {"use": "eft/causal", **large},
        "small": None if small is None else {"use": "eft/causal", **small},
        "experts": [{"model": {"use": "eft/causal", **expert}}],
        **settings,
    }
    recipe = {"summary": "A composition.", "seed": 0, "stages": [{"name": "compose", "use": "eft/compose", "model": model}]}
    from omnitrain.engine import installed

    resolved = resolve(read_text(yaml.safe_dump(recipe, sort_keys=False), "pair.yaml", 1), "pair.yaml", installed())
    run_recipe(resolved, out, Options(quiet=True))
    return out
