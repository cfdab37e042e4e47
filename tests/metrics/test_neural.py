"""Neural metrics on tiny random checkpoints in the published layouts, against plain computations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from earwitness import score
from earwitness.metrics.evaluation import score as score_again
from earwitness.metrics.fer import error_probabilities, fer

CANDIDATES = ["A dog barks!", "rain falls on a roof"]
REFERENCES = [["the dog barks", "a cat"], ["rain falls"]]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT of width 32 with a word-piece vocabulary, saved as transformers saves it."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a dog barks the cat rain falls on roof man ! . ##s".split()
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 128, "do_lower_case": False})
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


@pytest.fixture(scope="module")
def echecker(bert, tmp_path_factory):
    """A checkpoint in the layout of echecker_clotho_audiocaps_base.ckpt."""
    from transformers import BertModel

    torch.manual_seed(1)
    model = BertModel.from_pretrained(bert)
    state = {f"encoder.{name}": value for name, value in model.state_dict().items()}
    state["encoder.embeddings.position_ids"] = torch.arange(512)[None]
    state |= {"clf.weight": torch.randn(6, 32), "clf.bias": torch.randn(6)}
    path = tmp_path_factory.mktemp("fense") / "echecker_clotho_audiocaps_base.ckpt"
    torch.save({"model_type": str(bert), "num_classes": 6, "state_dict": state}, path)
    return path


def states(folder, text):
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states


def test_sbert_sim_is_the_mean_cosine(bert):
    report = score(CANDIDATES, REFERENCES, "sbert_sim", sbert_model=str(bert))
    mean = {
        t: states(bert, t)[-1][0].mean(0)
        for t in {*CANDIDATES, *(text for refs in REFERENCES for text in refs)}
    }
    wanted = [
        np.mean([torch.cosine_similarity(mean[c], mean[r], dim=0).item() for r in refs])
        for c, refs in zip(CANDIDATES, REFERENCES, strict=True)
    ]
    assert report.clips["sbert_sim"] == pytest.approx(wanted, abs=1e-5)
    assert f"sbert:{bert}" in report.signature


def test_error_probabilities(bert, echecker):
    found = error_probabilities(CANDIDATES, str(echecker))
    checkpoint = torch.load(echecker, weights_only=True)["state_dict"]
    for text, row in zip(["a dog barks", "rain falls on a roof"], found, strict=True):
        logits = checkpoint["clf.weight"] @ states(bert, text)[-1][0, 0] + checkpoint["clf.bias"]
        assert row == pytest.approx(logits.sigmoid().tolist(), abs=1e-5)
    assert error_probabilities(["A DOG, barks."], str(echecker.parent))[0] == pytest.approx(
        found[0], abs=1e-6
    )
    assert fer([[0, 0, 0, 0, 0, 0.9], [0, 0, 0, 0, 0, 0.91]]).clips == [0.0, 1.0]


def test_fense_from_its_parts(bert, echecker):
    report = score(
        CANDIDATES, REFERENCES, "fense,sbert_sim,fer", sbert_model=str(bert), error_model=str(echecker)
    )
    similar, faulty = np.array(report.clips["sbert_sim"]), np.array(report.clips["fer"])
    assert report.clips["fense"] == pytest.approx((similar * (1 - 0.9 * faulty)).tolist())
    assert len(report.clips["fer.add_tail_prob"]) == 2


def test_bert_score_by_hand(bert):
    report = score(CANDIDATES, REFERENCES, "bert_score", bert_model=str(bert), bert_layer=1)

    def unit(text):
        return torch.nn.functional.normalize(states(bert, text)[1][0], dim=-1)

    cosine = unit(CANDIDATES[1]) @ unit(REFERENCES[1][0]).T
    precision, recall = cosine.max(1).values[1:-1].mean().item(), cosine.max(0).values[1:-1].mean().item()
    assert report.clips["bert_score.precision"][1] == pytest.approx(precision, abs=1e-5)
    assert report.clips["bert_score.recall"][1] == pytest.approx(recall, abs=1e-5)
    assert report.clips["bert_score"][1] == pytest.approx(
        2 * precision * recall / (precision + recall), abs=1e-5
    )


def test_missing_and_wrong_checkpoints_are_said(bert, tmp_path):
    report = score(
        CANDIDATES,
        REFERENCES,
        "rouge_l,sbert_sim,fense,bert_score",
        sbert_model=str(tmp_path),
        bert_model=str(tmp_path),
    )
    assert set(report.corpus) == {"rouge_l"}
    assert "sbert_sim needs the model" in report.missing["fense"]
    torch.save({"model_type": str(bert)}, tmp_path / "x.ckpt")
    wrong = score_again(CANDIDATES, REFERENCES, "fer", error_model=str(tmp_path / "x.ckpt"))
    assert "lacks num_classes, state_dict" in wrong.missing["fer"]


def test_clap_score_and_mace(monkeypatch, echecker):
    from earwitness.metrics import clap_score as module

    class Extractor:
        sampling_rate = 100

        def __call__(self, waves, **_):
            return Moved(values=torch.tensor(np.stack(waves)))

    class Moved(dict):
        def __init__(self, **tensors):
            super().__init__(tensors)

        def to(self, _):
            return self

    class Network(torch.nn.Module):
        def get_audio_features(self, values):
            return values

        def get_text_features(self, values):
            return values

    class Processor:
        feature_extractor = Extractor()

        def tokenizer(self, texts, **_):
            return Moved(values=torch.tensor([[1.0, 0.0] if "dog" in text else [0.0, 2.0] for text in texts]))

    monkeypatch.setattr(module, "_load", lambda name: (Network(), Processor()))
    monkeypatch.setattr(module, "_wave", lambda path, rate: np.array([3.0, 4.0], dtype=np.float32))
    report = score(CANDIDATES, REFERENCES, "clap_score,mace,fer", audio=["a", "b"], error_model=str(echecker))
    assert report.clips["clap_score"] == pytest.approx([0.6, 0.8])
    faulty = np.array(report.clips["fer"])
    assert report.clips["mace"] == pytest.approx((np.array([0.6, 0.8]) * (1 - 0.3 * faulty)).tolist())
    assert (
        "2 clips but 1 sound files"
        in score(CANDIDATES, REFERENCES, "clap_score", audio=["a"]).missing["clap_score"]
    )
