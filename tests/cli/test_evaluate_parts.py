"""`earwitness evaluate` with what its options add to a model: retrieval, re-ranking, correction, a judge."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness.captioner import Captioner
from earwitness.checkpoints.folder import load_checkpoint
from earwitness.cli import app
from earwitness.correction import Corrector, ErrorDetector
from earwitness.decoding import Reranker
from earwitness.retrieval import CaptionDatastore, ClapEmbedder
from earwitness.runtime import TorchModel

sys.path.append(str(Path(__file__).parents[1]))
from tiny_parts import write_chat_model, write_error_detector

RATE = 16_000
KNOWN = ["a dog barks", "rain falls", "birds sing", "a man speaks", "wind blows", "a bell rings"]
FAST = ["--max-new-tokens", "6"]


@pytest.fixture
def split(tmp_path) -> Path:
    """Three clips of noise, coloured each in its own way."""
    rows = []
    for seed in range(3):
        noise = np.random.default_rng(seed).standard_normal(RATE)
        sound = np.convolve(noise, np.ones(3 * seed + 1), "same")
        soundfile.write(tmp_path / f"{seed}.wav", 0.1 * sound / sound.std(), RATE)
        rows.append({"id": f"clip{seed}", "audio": f"{seed}.wav", "captions": [KNOWN[seed]]})
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "test.jsonl"


@pytest.fixture
def sounds(split) -> list[np.ndarray]:
    return [soundfile.read(split.parent / f"{seed}.wav", dtype="float32")[0] for seed in range(3)]


def evaluate(model: Path, data: Path, out: Path, *more: object, status: int = 0):
    command = ["evaluate", "--model", model, "--data", data, "--out", out, "--device", "cpu"]
    command += ["--metrics", "rouge_l,cider_d", *more]
    result = CliRunner().invoke(app, [str(part) for part in command], env={"COLUMNS": "200"})
    assert result.exit_code == status, (result.output, result.exception)
    return result


def captions(out: Path) -> list[str]:
    return [row["caption"] for row in map(json.loads, (out / "captions.jsonl").read_text().splitlines())]


def test_retrieved_captions_are_those_of_the_store(everything, clap, split, sounds, tmp_path) -> None:
    store = CaptionDatastore.build(KNOWN, [f"known{i}" for i in range(len(KNOWN))], ClapEmbedder(clap))
    store.save(tmp_path / "store")
    evaluate(everything, split, tmp_path / "with", "--retrieve", tmp_path / "store", *FAST)
    evaluate(everything, split, tmp_path / "without", *FAST)
    captioner = Captioner(TorchModel(load_checkpoint(everything)), datastore=store)
    assert captions(tmp_path / "with") == [c.text for c in captioner(sounds, max_new_tokens=6)]
    assert captions(tmp_path / "with") != captions(tmp_path / "without")
    settings = json.loads((tmp_path / "with" / "settings.json").read_text())
    assert settings["retrieve"] == str(tmp_path / "store")
    report = json.loads((tmp_path / "with" / "report.json").read_text())
    assert set(report["corpus"]) == {"rouge_l", "cider_d"} and report["timing"]["clips"] == 3


def test_a_store_of_the_clips_that_are_judged_is_refused(everything, clap, split, tmp_path) -> None:
    CaptionDatastore.build(KNOWN[:2], ["known", "clip1"], ClapEmbedder(clap)).save(tmp_path / "store")
    said = evaluate(everything, split, tmp_path / "out", "--retrieve", tmp_path / "store", status=2).stderr
    assert "holds captions of 1 of these clips, the first is 'clip1'" in " ".join(said.split())
    assert captions(tmp_path / "out") == []


def test_the_beam_that_clap_finds_nearest_is_taken(everything, clap, split, sounds, tmp_path) -> None:
    evaluate(everything, split, tmp_path / "out", "--rerank", "--beams", "4", *FAST)
    evaluate(everything, split, tmp_path / "plain", "--beams", "4", *FAST)
    captioner = Captioner(TorchModel(load_checkpoint(everything)), reranker=Reranker(ClapEmbedder(clap)))
    assert captions(tmp_path / "out") == [c.text for c in captioner(sounds, beams=4, max_new_tokens=6)]
    assert captions(tmp_path / "out") != captions(tmp_path / "plain")


@pytest.mark.parametrize("more", [["--beams", "1"], ["--beams", "4", "--top-p", "0.9"]])
def test_there_must_be_beams_to_choose_from(everything, split, tmp_path, more) -> None:
    said = evaluate(everything, split, tmp_path / "out", "--rerank", *more, status=2).stderr
    assert "chooses among beams: --beams must be 2 or more, without sampling" in " ".join(said.split())


def test_any_model_is_corrected_where_the_detector_finds_the_answer_better(
    tiny_checkpoint, split, tmp_path, monkeypatch
) -> None:
    """The chat model's answers are scripted, for one of random weights has none that is a caption."""
    detector = write_error_detector(tmp_path / "detector", bias=6.0)
    chat = write_chat_model(tmp_path / "chat")
    monkeypatch.setattr(Corrector, "_ask", lambda self, texts: [(f"the {text}", True) for text in texts])
    given = ["--correct", "--corrector", chat, "--detector", detector]
    evaluate(tiny_checkpoint, split, tmp_path / "plain")
    result = evaluate(tiny_checkpoint, split, tmp_path / "out", *given)
    rows = [*map(json.loads, (tmp_path / "out" / "captions.jsonl").read_text().splitlines())]
    fault = ErrorDetector.from_checkpoint(detector).error_probability
    for row, before in zip(rows, captions(tmp_path / "plain"), strict=True):
        was, now = fault([before, f"the {before}"])
        better = was > 0.9 and now < was
        assert row["caption"] == (f"the {before}" if better else before)
        assert row.get("uncorrected") == (before if better else None)
    changed = sum("uncorrected" in row for row in rows)
    assert changed > 0 and f"{changed} of 3 captions were corrected" in result.stderr
    said = evaluate(tiny_checkpoint, split, tmp_path / "none", "--correct", status=2).stderr
    assert "names no error detector and no language model that corrects" in " ".join(said.split())


def test_a_judge_and_the_text_of_neural_metrics_are_those_named(tiny_checkpoint, split, tmp_path) -> None:
    """A chat model of random weights judges nothing: it is asked, and what it answered is reported."""
    chat = write_chat_model(tmp_path / "chat")
    more = ["--metrics", "rouge_l,clair_a,sbert_sim", "--judge-model", chat, "--neural-text", "ptb"]
    evaluate(tiny_checkpoint, split, tmp_path / "out", *more)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "clair_a: the reply on clip 0" in report["missing"]["clair_a"] and "rouge_l" in report["corpus"]
