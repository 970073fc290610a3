"""Tiny tokenizers and models of the six families that people bring, made offline: for tests of whatever reads text.

Each is what `save_pretrained` of transformers leaves, so code under test loads it by its folder. transformers and
tokenizers are needed where these functions are called, and nowhere else in this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_TEXT = (
    "a river runs past the old mill and the miller grinds wheat into flour while the baker waits for bread "
    "if not then return def class for in it was said that one could hear water at night"
)
WORDS = _TEXT.split()
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SENTINELS = 100


def documents(count: int = 200) -> Iterator[str]:
    """Yield short texts that all tokenizers here are trained on: a fixed walk through WORDS, with code and line ends."""
    for number in range(count):
        chosen = [WORDS[(number * 7 + step * (1 + number % 5)) % len(WORDS)] for step in range(12)]
        yield " ".join(chosen).capitalize() + (".\n" if number % 3 else ":\n    return 0\n")


def byte_bpe(folder: Path) -> None:
    """GPT-2's kind: bytes and merges, one special token that is start, end and unknown at once, and no padding."""
    end = "<|endoftext|>"
    _save(_bytes([end]), folder, bos_token=end, eos_token=end, unk_token=end)


def dummy_prefix(folder: Path) -> None:
    """Llama 2's kind: a blank is put in front of every text, unknown characters become bytes, "<s>" begins, no padding."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    draft = Tokenizer(models.BPE(unk_token="<unk>"))
    draft.pre_tokenizer = pre_tokenizers.Metaspace()
    draft.train_from_iterator(
        documents(), trainers.BpeTrainer(vocab_size=len(specials) + 250, special_tokens=specials, show_progress=False)
    )
    learned = _model_of(draft)
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(learned["vocab"], merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", start)])
    _save(tokenizer, folder, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def chat(folder: Path) -> None:
    """Qwen's kind: bytes and merges, padding equal to the end of text, a chat template whose turns end with another token."""
    end = "<|endoftext|>"
    tokenizer = _save(_bytes([end, "<|im_start|>", "<|im_end|>"]), folder, eos_token=end, pad_token=end)
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(str(folder))


def unigram(folder: Path) -> None:
    """T5's kind: pieces with probabilities, padding 0, every text ends with "</s>", 100 sentinels counting down."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(documents(), trainer)
    sentinels = [f"<extra_id_{number}>" for number in reversed(range(SENTINELS))]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in sentinels])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = [f"<extra_id_{number}>" for number in range(SENTINELS)]
    _save(tokenizer, folder, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", extra_special_tokens=names)


def wordpiece(folder: Path) -> None:
    """BERT's kind: lower case, pieces of words, "[CLS]" and "[SEP]" around a text, which are its start and end here."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(documents(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    _save(tokenizer, folder, **names, bos_token="[CLS]", eos_token="[SEP]")


def holes(folder: Path) -> None:
    """The kind of cl100k: the end of text stands a hundred ids behind the last merge, with nothing between."""
    import json

    from tokenizers import Tokenizer

    plain = json.loads(_bytes([]).to_str())
    highest = max(plain["model"]["vocab"].values())
    ending = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    plain["added_tokens"] = [{"id": highest + 100, "content": "<|endoftext|>", **ending}]
    end = "<|endoftext|>"
    plain["model"]["vocab"][end] = highest + 100
    _save(Tokenizer.from_str(json.dumps(plain)), folder, eos_token=end, bos_token=end)


FAMILIES: dict[str, Callable[[Path], None]] = {
    "byte-bpe": byte_bpe,
    "dummy-prefix": dummy_prefix,
    "chat": chat,
    "unigram": unigram,
    "wordpiece": wordpiece,
    "holes": holes,
}
"""By name, what writes a tokenizer of that family into a folder."""


def make_model(family: str, folder: Path, seed: int = 0) -> None:
    """Write a tokenizer of a family and a model of its kind with random weights into a folder; about 30,000 parameters.

    "unigram" gets a T5, all others a decoder: GPT-2, for "dummy-prefix" and "chat" a Llama with tied embeddings. The model of
    "chat" ends a text at the end of a turn or of the text, as its generation_config says.
    """
    import torch
    from transformers import (
        AutoTokenizer,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        T5Config,
        T5ForConditionalGeneration,
    )

    FAMILIES[family](folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    rows = 1 + max(tokenizer.get_vocab().values())
    ends: dict[str, Any] = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any
        if family == "unigram":
            sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
            model = T5ForConditionalGeneration(
                T5Config(vocab_size=rows, **sizes, feed_forward_proj="gated-gelu", decoder_start_token_id=0)
            )
        elif family in ("dummy-prefix", "chat"):
            sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
            model = LlamaForCausalLM(
                LlamaConfig(vocab_size=rows, **sizes, max_position_embeddings=128, tie_word_embeddings=True, **ends)
            )
        else:
            sizes = {"n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 2}
            model = GPT2LMHeadModel(GPT2Config(vocab_size=rows, **sizes, **ends))
    if family == "chat":
        turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
        model.generation_config.eos_token_id = [turn, tokenizer.eos_token_id]
    model.save_pretrained(str(folder))


def _bytes(specials: list[str]) -> Any:
    """Train a byte-level BPE of about 400 ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents(), trainer)
    return tokenizer


def _model_of(tokenizer: Any) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(tokenizer.to_str())["model"]
    return found


def _save(tokenizer: Any, folder: Path, **settings: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **settings)
    folder.mkdir(parents=True, exist_ok=True)
    wrapped.save_pretrained(str(folder))
    return wrapped
