"""What tests share: a captioner of random weights, small enough for every test to run in moments."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow, not wrong.
settings.register_profile("earwitness", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("earwitness")

CAPTIONS = [
    "a dog barks while a man speaks",
    "rain falls on a roof and wind blows",
    "a bird sings then an engine idles",
    "music plays and people laugh and clap",
]
TAGS = ["dog", "speech", "rain", "wind", "bird", "engine", "music", "laughter"]


def build_tiny_model(seed: int = 0):
    """ConvEncoder -> TwoStreamAdapter -> a Llama of width 32 with 2 layers, its own BPE, Token Guide."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from earwitness.build import build_model
    from earwitness.config.model import ModelConfig

    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel()
    bpe.decoder = decoders.ByteLevel()
    special = ["<unk>", "<s>", "</s>", "<pad>"]
    bpe.train_from_iterator(CAPTIONS, trainers.BpeTrainer(vocab_size=120, special_tokens=special))
    unk, bos, eos, pad = special
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, unk_token=unk, bos_token=bos, eos_token=eos, pad_token=pad
    )
    config = ModelConfig.model_validate(
        {
            "encoder": {
                "kind": "conv",
                "tags": TAGS,
                "widths": [6, 8, 12, 16],
                "depths": [0, 1, 1, 1],
                "dim": 32,
            },
            "adapter": [
                {"kind": "two_stream", "semantic_queries": 2, "temporal_queries": 2, "global_queries": 4}
                | {"kernels": [3, 5], "gru_layers": 1, "heads": 4}
            ],
            "language_model": {
                "config": {
                    "model_type": "llama",
                    "hidden_size": 32,
                    "intermediate_size": 64,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "max_position_embeddings": 128,
                    "tie_word_embeddings": True,
                }
            },
            "decoding": {"guide": {"beta": 0.01}},
        }
    )
    torch.manual_seed(seed)
    model = build_model(config, tokenizer)
    for parameter in model.parameters():  # large enough that the caption depends on the sound
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    return model.eval()


@pytest.fixture(scope="session")
def tiny_model():
    """An AudioCaptioningModel of random weights in eval mode; shared: deepcopy before changing it."""
    return build_tiny_model()


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model, tmp_path_factory) -> Path:
    """The folder of `tiny_model`'s checkpoint."""
    from earwitness.checkpoints.folder import save_checkpoint

    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    save_checkpoint(tiny_model, folder, card="# tiny\n\nRandom weights.\n")
    return folder


@pytest.fixture(scope="session")
def bank_folder(tmp_path_factory) -> Path:
    """A folder of 24 synthetic labelled recordings (tests/bank_fixture.py)."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("bank_fixture", Path(__file__).with_name("bank_fixture.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_bank(tmp_path_factory.mktemp("bank") / "bank")
