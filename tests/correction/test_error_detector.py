"""The error detector: FENSE's checkpoint layout, and transformers' BERT called by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from earwitness.correction.error_detector import ERRORS, ErrorDetector, plain_words

CAPTIONS = ["A dog barks, and then a man speaks.", "rain", "a man is speaking and a", "a " * 200]
WORDS = ["a", "dog", "barks", "and", "then", "man", "speaks", "rain", "is", "speaking"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Iterator[tuple[Path, torch.nn.Module]]:
    """A folder with a tiny BERT's config and tokenizer, but without weights; and weights."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    config.save_pretrained(folder)
    torch.manual_seed(0)
    yield folder, BertModel(config).eval()


@pytest.fixture
def checkpoint(bert, tmp_path):
    folder, encoder = bert
    torch.manual_seed(1)
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state["encoder.embeddings.position_ids"] = torch.arange(64)[None]  # as in FENSE's files
    state |= {"clf.weight": torch.randn(6, 16), "clf.bias": torch.randn(6)}
    return {"model_type": str(folder), "num_classes": 6, "state_dict": state}, tmp_path / "echecker.ckpt"


def test_checkpoint_gives_what_bert_gives_by_hand(bert, checkpoint):
    from transformers import AutoTokenizer

    content, path = checkpoint
    torch.save(content, path)
    detector = ErrorDetector.from_checkpoint(path)
    probabilities = detector.probabilities(CAPTIONS, batch_size=3)
    assert probabilities.shape == (4, 6)
    tokenizer = AutoTokenizer.from_pretrained(bert[0])
    for caption, found in zip(["a dog barks and then a man speaks", *CAPTIONS[1:]], probabilities):
        inputs = tokenizer(  # alone, padded to 64 as FENSE does
            caption, padding="max_length", truncation=True, max_length=64, return_tensors="pt"
        )
        with torch.no_grad():
            first = bert[1](**inputs).last_hidden_state[0, 0]
        expected = (content["state_dict"]["clf.weight"] @ first + content["state_dict"]["clf.bias"]).sigmoid()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(detector.error_probability(CAPTIONS), probabilities[:, 5], rtol=0, atol=1e-5)
    assert ERRORS[5] == "error"
    assert detector.probabilities([]).shape == (0, 6)
    assert not detector.training


def test_case_and_punctuation_do_not_count(checkpoint):
    content, path = checkpoint
    torch.save(content, path)
    detector = ErrorDetector.from_checkpoint(path).train()  # dropout must not act
    pair = detector.probabilities(["A Dog BARKS!", "a dog barks"])
    torch.testing.assert_close(pair[0], pair[1])
    assert detector.training
    assert plain_words("It's 10:30 - a (very) LOUD clock.") == "its 1030  a very loud clock"


def test_encoder_folder_can_be_given(bert, checkpoint):
    content, path = checkpoint
    torch.save(content | {"model_type": "no/such-model-anywhere"}, path)
    ErrorDetector.from_checkpoint(path, encoder=bert[0])
    with pytest.raises(OSError, match=r"cannot load the config and tokenizer of .*pass encoder="):
        ErrorDetector.from_checkpoint(path, encoder=path.parent / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["state_dict"].pop("clf.bias"), r"does not fit: missing clf\.bias"),
        (lambda c: c["state_dict"].update(extra=torch.zeros(1)), "unexpected extra"),
        (
            lambda c: c["state_dict"].update({"clf.weight": torch.zeros(5, 16)}),
            r"clf\.weight is \[5, 16\] instead of \[6, 16\]",
        ),
        (lambda c: c.update(num_classes=5), "has 5 error classes, not 6"),
        (lambda c: c.pop("model_type"), "it lacks model_type"),
        (lambda c: c.update(surprise=Path("x")), "more than tensors and plain values"),
    ],
)
def test_refuses(checkpoint, change, message):
    content, path = checkpoint
    change(content)
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        ErrorDetector.from_checkpoint(path)
