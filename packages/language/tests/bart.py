"""A small BART as people bring it: its tokenizer puts "<s>" in front and "</s>" behind, its decoder starts from "</s>"."""

from pathlib import Path

import torch

from omnitrain_testing.tokenizers import documents


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>"
    ).save_pretrained(str(folder))


def write_bart(folder: Path, **generation: object) -> None:
    """Write tokenizer and model; generation: what its generation_config says besides."""
    from transformers import BartConfig, BartForConditionalGeneration

    write_tokenizer(folder)
    sizes = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
        model = BartForConditionalGeneration(
            BartConfig(vocab_size=330, d_model=32, max_position_embeddings=64, init_std=0.2, **sizes, **heads)
        )
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    model.save_pretrained(str(folder))
