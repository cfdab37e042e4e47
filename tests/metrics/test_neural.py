"""Neural metrics on tiny random checkpoints in the published layouts, against plain computations."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from earwitness import score
from earwitness.metrics.detector_file import DETECTORS, Published, find_detector
from earwitness.metrics.evaluation import score as score_again
from earwitness.metrics.fer import error_probabilities, fer
from earwitness.metrics.mace import mace, mace_combined

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


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    """A CLAP of random weights, laid out as laion/clap-htsat-unfused: HTSAT of width 16, RoBERTa of 32."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("clap")
    torch.manual_seed(2)
    letters = sorted(set("abcdefghijklmnopqrstuvwxyzADG!.") | {"Ġ"})
    vocabulary = {t: n for n, t in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters])}
    tokenizer = RobertaTokenizerFast(vocab=vocabulary, merges=[])
    text = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "pad_token_id": 1,
    }
    sound = {
        "patch_embeds_hidden_size": 16,
        "hidden_size": 128,
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [2, 2, 2, 2],
        "projection_dim": 24,
    }
    model = ClapModel(ClapConfig(text_config=text, audio_config=sound, projection_dim=24))
    model.save_pretrained(folder)
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    ClapProcessor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Files of 0.7, 2 and 11 s (longer than CLAP takes), at another rate than CLAP's."""
    import soundfile

    folder = tmp_path_factory.mktemp("sounds")
    paths = []
    for seed, seconds in enumerate((0.7, 2.0, 11.0)):
        noise = np.random.default_rng(seed).normal(size=round(seconds * 16_000)) * 0.1
        paths.append(str(folder / f"{seed}.wav"))
        soundfile.write(paths[-1], noise * np.sin(np.arange(len(noise)) / (20 + 40 * seed)), 16_000)
    return paths


def test_clap_score_of_a_published_layout(clap, sounds):
    from transformers import ClapModel, ClapProcessor

    from earwitness.media.reading import load_audio

    texts = ["A dog barks!", "rain falls on a roof", "wind"]
    found = score(texts, [["a"]] * 3, "clap_score", audio=sounds, clap_model=str(clap))
    model, processor = ClapModel.from_pretrained(clap).eval(), ClapProcessor.from_pretrained(clap)
    for text, path, value in zip(texts[:2], sounds[:2], found.clips["clap_score"]):
        wave = load_audio(path, 48_000).waveform
        inputs = processor(text=[text], audio=[wave], sampling_rate=48_000, return_tensors="pt")
        with torch.inference_mode():
            output = model(**inputs)
        cosine = torch.cosine_similarity(output.audio_embeds, output.text_embeds).item()
        assert value == pytest.approx(cosine, abs=1e-5)
    assert f"clap:{clap}" in found.signature
    assert len({round(value, 6) for value in found.clips["clap_score"]}) == 3


def test_clap_score_of_a_batch_is_that_of_each(clap, sounds):
    from earwitness.metrics.sounds import Sound

    audio = [*sounds, Sound(sounds[1], 0.5, 1.5), Sound(sounds[2], 0.5, 10.5)]
    texts = ["a dog", "rain falls on a roof and a man barks", "wind", "a roof", "wind"]
    together = score(texts, [["a"]] * 5, "clap_score", audio=audio, clap_model=str(clap)).clips["clap_score"]
    for text, sound, value in zip(texts, audio, together):
        alone = score([text], [["a"]], "clap_score", audio=[sound], clap_model=str(clap))
        assert alone.clips["clap_score"] == pytest.approx([value], abs=1e-5)
    assert together[2] == pytest.approx(together[4], abs=1e-5)  # of 11 s the middle 10 s are heard
    assert together[1] != together[3]


def test_mace_as_published(clap, sounds, echecker):
    """text, audio, or the mean of both; .3 less above an error probability of .97 (not FENSE's .9)."""
    report = score(
        CANDIDATES,
        REFERENCES,
        "mace_text,mace_audio,mace,clap_score,clap_score_text,fer",
        audio=sounds[:2],
        clap_model=str(clap),
        error_model=str(echecker),
    )
    audio, text = np.array(report.clips["clap_score"]), np.array(report.clips["clap_score_text"])
    faulty = np.array(report.clips["fer.error_prob"]) > 0.97
    for name, similar in {"mace_text": text, "mace_audio": audio, "mace": (text + audio) / 2}.items():
        assert report.clips[name] == pytest.approx((similar * (1 - 0.3 * faulty)).tolist())
        assert report.corpus[name] == pytest.approx(np.mean(report.clips[name]))
    assert f"clap:{clap}" in report.signature


def test_mace_counts_errors_above_its_own_threshold():
    assert mace([0.5, 0.5, 0.5], [0.95, 0.97, 0.98]).clips == pytest.approx([0.5, 0.5, 0.35])
    assert mace_combined([0.2, 0.4], [0.6, 0.8], [0.0, 1.0]).clips == pytest.approx([0.4, 0.42])


def test_text_similarity_of_clap(clap):
    from transformers import ClapModel, ClapProcessor

    report = score(CANDIDATES, REFERENCES, "clap_score_text", clap_model=str(clap))
    model, processor = ClapModel.from_pretrained(clap).eval(), ClapProcessor.from_pretrained(clap)

    def embedded(text):
        output = model.get_text_features(**processor(text=[text], return_tensors="pt"))
        return getattr(output, "pooler_output", output)[0]

    with torch.inference_mode():
        wanted = [
            np.mean([torch.cosine_similarity(embedded(c), embedded(r), dim=0).item() for r in refs])
            for c, refs in zip(CANDIDATES, REFERENCES)
        ]
    assert report.clips["clap_score_text"] == pytest.approx(wanted, abs=1e-5)


class Letters:
    """An embedder of one's own: letter counts of texts, and of the names of sounds."""

    name = "letters-1"

    def texts(self, texts):
        counts = np.array([[text.lower().count(c) + 0.1 for c in "abcdefghij"] for text in texts])
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def sounds(self, sounds):
        return self.texts([sound.path for sound in sounds])


def test_any_embedder_serves_mace(echecker):
    report = score(
        CANDIDATES,
        REFERENCES,
        "mace,mace_text,clap_score",
        audio=["dog.wav", "rain.wav"],
        clap_model=Letters(),
        error_model=str(echecker),
    )
    assert report.missing == {} and "clap:letters-1" in report.signature
    assert report.clips["mace"][0] != report.clips["mace_text"][0]


def test_a_sound_is_wanted_for_every_clip():
    report = score(CANDIDATES, REFERENCES, "clap_score", audio=["a"])
    assert "2 clips but 1 sound files" in report.missing["clap_score"]


def test_neural_metrics_read_raw_or_tokenized_text(bert, echecker):
    models = {"sbert_model": str(bert), "error_model": str(echecker), "bert_model": str(bert)}
    metrics = "sbert_sim,fense,bert_score"
    raw = score(CANDIDATES, REFERENCES, metrics, **models)
    found = score(CANDIDATES, REFERENCES, metrics, neural_text="ptb", **models)
    plain = score(["a dog barks", "rain falls on a roof"], REFERENCES, metrics, **models)  # as PTB leaves it
    assert found.clips == plain.clips and found.clips["sbert_sim"] != raw.clips["sbert_sim"]
    assert "neural_text:ptb" in found.signature and "neural_text:raw" in raw.signature
    with pytest.raises(ValueError, match="neural_text is raw or ptb, not 'tokens'"):
        score(CANDIDATES, REFERENCES, metrics, neural_text="tokens")


def test_dcase2024_is_computed_as_the_challenge_does(bert, echecker, meteor_data):
    models = {"sbert_model": str(bert), "error_model": str(echecker)}
    found = score(CANDIDATES, REFERENCES, "dcase2024", **models)
    assert set(found.corpus) >= {"meteor", "cider_d", "sbert_sim", "fer", "fense", "vocabulary"}
    assert set(found.missing) == {"spice", "spider", "spider_fl"}
    alone = score(CANDIDATES, REFERENCES, "fense", neural_text="ptb", **models)
    assert found.clips["fense"] == alone.clips["fense"] and "neural_text:ptb" in found.signature
    with pytest.raises(ValueError, match="dcase2024 is computed on tokenized text"):
        score(CANDIDATES, REFERENCES, "dcase2024", neural_text="raw", **models)


def test_approximate_spider_takes_the_penalty_and_the_best(echecker, meteor_data):
    pairs = [[a, b] for a, b in zip(CANDIDATES, ["a cat", "rain falls"])]
    metrics = "spider_approx,fer,spider_fl_approx,spider_max_approx"
    report = score(pairs, REFERENCES, metrics, error_model=str(echecker))
    alone = [score(list(captions), REFERENCES, "spider_approx") for captions in zip(*pairs)]
    first, second = (each.clips["spider_approx"] for each in alone)
    assert report.clips["spider_approx"] == first
    assert report.clips["spider_max_approx"] == np.maximum(first, second).tolist()
    penalized = np.array(first) * (1 - 0.9 * np.array(report.clips["fer"]))
    assert report.clips["spider_fl_approx"] == pytest.approx(penalized.tolist())


NAME = "echecker_clotho_audiocaps_base.ckpt"


def test_the_detector_is_found_where_its_tools_keep_it(tmp_path, monkeypatch, echecker):
    data = echecker.read_bytes()
    published = Published("https://example.org/x.ckpt", hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(DETECTORS, NAME, published)
    for folder in ("fense", "torch/hub/fense_data", "cache"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("FENSE_DATA", str(tmp_path / "fense"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="get it at https://example.org/x.ckpt"):
        find_detector(NAME)
    for folder in ("cache", "torch/hub/fense_data", "fense"):
        path = tmp_path / folder / NAME
        path.write_bytes(data)
        assert find_detector(NAME) == find_detector(NAME.removesuffix(".ckpt")) == path
    (tmp_path / "fense" / NAME).write_bytes(data[:-1])
    with pytest.raises(ValueError, match="is damaged: its sha256 is not that of"):
        find_detector(NAME)
    with pytest.raises(FileNotFoundError, match="there is no file other.ckpt"):
        find_detector("other.ckpt")


def test_the_detector_is_fetched_and_checked(tmp_path, monkeypatch):
    source = tmp_path / "source.ckpt"
    source.write_bytes(b"weights")
    for variable in ("FENSE_DATA", "TORCH_HOME", "EARWITNESS_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setitem(DETECTORS, NAME, Published(source.as_uri(), "0" * 64))
    with pytest.raises(ValueError, match="is damaged"):
        find_detector(NAME)
    assert not list((tmp_path / "EARWITNESS_CACHE").glob("*"))
    published = Published(source.as_uri(), hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setitem(DETECTORS, NAME, published)
    assert find_detector(NAME) == tmp_path / "EARWITNESS_CACHE" / NAME
    source.unlink()
    assert find_detector(NAME).read_bytes() == b"weights"  # from the cache
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "other"))
    with pytest.raises(OSError, match="source.ckpt cannot be fetched into"):
        find_detector(NAME)


def test_weights_of_another_vocabulary_leave_out_their_metric(bert, tmp_path):
    """The tokenizer knows more words than the model: its lookup fails in the middle of the work."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    config = BertConfig.from_pretrained(bert, vocab_size=6)
    BertModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    report = score(CANDIDATES, REFERENCES, "rouge_l,bert_score", bert_model=str(tmp_path))
    assert set(report.corpus) == {"rouge_l"} and "index" in report.missing["bert_score"]


@pytest.mark.parametrize("metric", ["sbert_sim", "fer", "bert_score"])
def test_a_batch_scores_as_each_alone(metric, bert, echecker):
    texts = ["A dog barks!", "rain falls on a roof and the man falls on the cat", "a", "the cat barks"]
    references = [["the dog barks", "a cat"], ["rain falls"], ["a man barks a dog on the roof"], ["a cat"]]
    models = {
        "sbert_model": str(bert),
        "error_model": str(echecker),
        "bert_model": str(bert),
        "bert_layer": 2,
    }
    together = score(texts, references, metric, **models)
    for number, (text, others) in enumerate(zip(texts, references)):
        alone = score([text], [others], metric, **models)
        for name, values in alone.clips.items():
            assert values == pytest.approx([together.clips[name][number]], abs=1e-5), name
