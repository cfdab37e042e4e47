import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from earwitness.decoding import CausalLanguageModel, EncoderDecoderLanguageModel

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>"]
SUBJECTS = ["a", "the", "dog", "cat", "bird", "man", "woman", "rain", "wind", "engine"]
VERBS = ["barks", "meows", "sings", "speaks", "falls", "blows", "idles"]
WORDS = [*SUBJECTS, *VERBS, "and", "then", "on", ":", "."]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    unk, bos, eos, pad = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token=unk, bos_token=bos, eos_token=eos, pad_token=pad
    )


def loud(model: torch.nn.Module) -> None:
    """Random weights large enough that decoding is not degenerate."""
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=2.0 * parameter.shape[1] ** -0.5)


@pytest.fixture(scope="module")
def causal(tokenizer: PreTrainedTokenizerFast) -> CausalLanguageModel:
    torch.manual_seed(0)
    config = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "tie_word_embeddings": False,
    }
    language_model = CausalLanguageModel.from_config(config, tokenizer).double().eval()
    loud(language_model)
    return language_model


@pytest.fixture(scope="module")
def encoder_decoder(tokenizer: PreTrainedTokenizerFast) -> EncoderDecoderLanguageModel:
    torch.manual_seed(0)
    sizes = {
        f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in [("layers", 2), ("ffn_dim", 32)]
    }
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    config = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": 16,
        "max_position_embeddings": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 3,
        "decoder_start_token_id": 2,
        **sizes,
        **heads,
    }
    language_model = EncoderDecoderLanguageModel.from_config(config, tokenizer).double().eval()
    loud(language_model)
    return language_model
