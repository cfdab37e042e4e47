"""Tiny checkpoints of random weights as they are published: CLAP, FENSE's detector, a chat model."""

from __future__ import annotations

from pathlib import Path

import torch

TEXTS = ["a dog barks", "rain falls on a tin roof while a man speaks", ""]
CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def write_clap(folder: Path) -> Path:
    """ClapModel, its tokenizer and its feature extractor (1 s at 16 kHz), as laion/clap-htsat-unfused."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, RobertaTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(TEXTS, vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    bpe.save_model(str(folder))
    RobertaTokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")).save_pretrained(
        folder
    )
    torch.manual_seed(0)
    config = ClapConfig(
        projection_dim=12,
        text_config={
            "vocab_size": 300,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 66,
            "projection_dim": 12,
        },
        audio_config={
            "spec_size": 128,
            "num_mel_bins": 64,
            "window_size": 4,
            "patch_embeds_hidden_size": 8,
            "hidden_size": 16,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "projection_dim": 12,
            "enable_fusion": False,
        },
    )
    ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(
        sampling_rate=16000, max_length_s=1, hop_length=250, truncation="rand_trunc", frequency_max=7000
    ).save_pretrained(folder)
    return folder


def write_error_detector(folder: Path, bias: float = 0.0) -> Path:
    """FENSE's file, beside the BERT it names. bias: added to every logit."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    config.save_pretrained(folder)
    torch.manual_seed(1)
    state = {f"encoder.{name}": tensor for name, tensor in BertModel(config).state_dict().items()}
    state |= {"clf.weight": torch.randn(6, 16), "clf.bias": torch.full((6,), bias)}
    path = folder / "echecker.ckpt"
    torch.save({"model_type": str(folder), "num_classes": 6, "state_dict": state}, path)
    return path


def write_chat_model(folder: Path) -> Path:
    """A Llama over bytes with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({c: i + 1 for i, c in enumerate(alphabet)} | {"</s>": 0}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", chat_template=CHAT)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=1024, initializer_range=0.5, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
