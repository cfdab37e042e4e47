"""Tiny checkpoints of random weights as they are published: CLAP, FENSE's detector, a chat model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import pre_tokenizers

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
    from tokenizers import Tokenizer, decoders, models
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


def write_gguf(folder: Path) -> dict[str, Any]:
    """A Llama of random weights over bytes in Q4_1, folder/tiny.gguf, with a chat template and no bos.

    Returns its weights by their names in transformers, as the file holds them.
    """
    import gguf
    from gguf.quants import dequantize, quantize

    folder.mkdir(parents=True, exist_ok=True)
    heads, dim, inner, layers = 2, 64, 96, 2
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<|end|>", "<|endoftext|>", *alphabet, alphabet[0] + alphabet[1]]
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(dim)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(dim // heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges([f"{alphabet[0]} {alphabet[1]}"])
    writer.add_eos_token_id(0)
    writer.add_chat_template(CHAT)
    generator = np.random.default_rng(0)
    held: dict[str, Any] = {}

    def add(name: str, ours: str, *shape: int, turned: bool = False) -> None:
        values = generator.normal(0, 0.3, shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values := 1 + 0.1 * values)
        else:
            packed = quantize(values, gguf.GGMLQuantizationType.Q4_1)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
            values = dequantize(packed, gguf.GGMLQuantizationType.Q4_1)
        if turned:  # llama.cpp interleaves the halves of a head that rotate together
            values = values.reshape(heads, dim // heads // 2, 2, dim).swapaxes(1, 2).reshape(dim, dim)
        held[ours] = torch.from_numpy(values.copy())

    add("token_embd.weight", "model.embed_tokens.weight", len(tokens), dim)
    add("output_norm.weight", "model.norm.weight", dim)
    for i in range(layers):
        for theirs, ours, shape in [
            ("attn_norm", "input_layernorm", (dim,)), ("ffn_norm", "post_attention_layernorm", (dim,)),
            ("attn_q", "self_attn.q_proj", (dim, dim)), ("attn_k", "self_attn.k_proj", (dim, dim)),
            ("attn_v", "self_attn.v_proj", (dim, dim)), ("attn_output", "self_attn.o_proj", (dim, dim)),
            ("ffn_gate", "mlp.gate_proj", (inner, dim)), ("ffn_up", "mlp.up_proj", (inner, dim)),
            ("ffn_down", "mlp.down_proj", (dim, inner)),
        ]:  # fmt: skip
            turned = theirs in ("attn_q", "attn_k")
            add(f"blk.{i}.{theirs}.weight", f"model.layers.{i}.{ours}.weight", *shape, turned=turned)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held
