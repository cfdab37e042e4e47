"""`earwitness index`, and `earwitness caption` with what it and the model's config add."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness.cli import app
from earwitness.retrieval import CaptionDatastore, ClapEmbedder, datastore

sys.path.append(str(Path(__file__).parents[1]))
from media_samples import mux, tones

RATE = 16_000


def run(*arguments: object, status: int = 0):
    result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "200"})
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.fixture
def captions(tmp_path) -> list[Path]:
    (tmp_path / "a.csv").write_text('id,caption\nx,"a dog barks, loudly"\nx,a dog howls\ny,rain\n')
    (tmp_path / "m.jsonl").write_text(
        json.dumps({"id": "z", "audio": "z.wav", "captions": ["birds sing", "a bird\nsings"]}) + "\n"
    )
    (tmp_path / "t.txt").write_text("wind blows\n\n  a bell rings \n", "utf-8")
    return [tmp_path / name for name in ("a.csv", "m.jsonl", "t.txt")]


def options(captions: list[Path]) -> list[object]:
    return [part for path in captions for part in ("--captions", path)]


def test_index_reads_tables_manifests_and_lines(captions, clap, tmp_path):
    out = tmp_path / "store"
    result = run("index", *options(captions), "--out", out, "--embedder", clap)
    assert f"7 captions of 5 clips in {out}" in result.stdout and "downloaded" not in result.stderr
    store = CaptionDatastore.load(out)
    assert store.embedder.name == str(clap)
    assert list(store.captions) == [
        *("a dog barks, loudly", "a dog howls", "rain", "birds sing", "a bird sings"),
        *("wind blows", "a bell rings"),
    ]
    assert list(store.clip_ids) == ["x", "x", "y", "z", "z", "t.txt:1", "t.txt:3"]
    expected = ClapEmbedder(clap).embed_text(list(store.captions))
    np.testing.assert_allclose(store.embeddings, expected, atol=1e-3)
    assert sorted(p.name for p in out.iterdir()) == ["captions.jsonl", "embeddings.npy", "store.json"]


def test_a_stopped_index_is_no_store_and_goes_on_where_it_was(captions, clap, tmp_path, monkeypatch):
    monkeypatch.setattr(datastore, "_PART", 2)
    out, line = tmp_path / "store", ["index", *options(captions), "--embedder", clap]
    embedded: list[str] = []
    real = ClapEmbedder.embed_text

    def stopped(self, texts):
        if len(embedded) == 4:
            raise OSError("the power is gone")
        embedded.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(ClapEmbedder, "embed_text", stopped)
    assert "the power is gone" in run(*line, "--out", out, status=2).stderr
    with pytest.raises(FileNotFoundError, match="is no caption datastore"):
        CaptionDatastore.load(out)
    monkeypatch.setattr(
        ClapEmbedder, "embed_text", lambda self, texts: embedded.extend(texts) or real(self, texts)
    )
    run(*line, "--out", out)
    assert len(embedded) == 7  # each once
    monkeypatch.setattr(ClapEmbedder, "embed_text", real)
    run(*line, "--out", tmp_path / "whole")
    again, whole = (CaptionDatastore.load(tmp_path / name) for name in ("store", "whole"))
    np.testing.assert_array_equal(again.embeddings, whole.embeddings)


def test_index_refuses_what_it_cannot_use(captions, clap, tmp_path):
    def refusal(*arguments: object) -> str:
        return run("index", "--embedder", clap, *arguments, status=2).stderr

    assert "no such file" in refusal("--captions", tmp_path / "none.csv", "--out", tmp_path / "s").lower()
    (tmp_path / "empty.txt").write_text("\n")
    assert "empty.txt holds no captions" in refusal(
        "--captions", tmp_path / "empty.txt", "--out", tmp_path / "s"
    )
    assert "is not a datastore" in refusal(*options(captions), "--out", tmp_path)
    assert (tmp_path / "a.csv").is_file()
    nowhere = run(
        "index", *options(captions), "--out", tmp_path / "s", "--embedder", tmp_path / "no", status=2
    )
    assert "cannot load CLAP from" in nowhere.stderr


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "film.mp4").write_bytes(mux("mp4", tones(1.0, 44_100), 44_100, levels=[40] * 10))
    soundfile.write(folder / "noise.wav", 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    return folder


def test_caption_with_all_that_the_model_can_be_given(
    everything, captions, clap, sounds, tmp_path, monkeypatch
):
    run("index", *options(captions), "--out", tmp_path / "store", "--embedder", clap)
    asked = []
    from earwitness.correction import corrector

    monkeypatch.setattr(corrector, "caption_in", lambda said, original: asked.append(original) or "A dog!")
    # random weights say no words that an answer could keep, and their detector finds nothing better
    monkeypatch.setattr(corrector, "lost_words", lambda original, text: [])
    monkeypatch.setattr(corrector, "_reordered", lambda original, text: False)
    monkeypatch.setattr(corrector.Corrector, "_improved", lambda self, results: results)
    given = [
        "--retrieve",
        tmp_path / "store",
        "--rerank",
        "--correct",
        "--model",
        everything,
        "--device",
        "cpu",
    ]
    for suffix in (".jsonl", ".csv"):
        out = tmp_path / f"rows{suffix}"
        monkeypatch.setattr(corrector.Corrector, "_ask", lambda self, texts: [("said", True)] * len(texts))
        run("caption", sounds, *given, "--out", out)
        lines = out.read_text().splitlines()
        rows = [*map(json.loads, lines)] if suffix == ".jsonl" else [*csv.DictReader(lines)]
        assert [row["caption"] for row in rows] == ["a dog", "a dog"]  # in the form of the other captions
        assert sorted(row["uncorrected"] for row in rows) == sorted(asked[-2:])
        run("caption", sounds, *given, "--out", out, "--resume")
        assert out.read_text().splitlines() == lines
    strict = run("caption", sounds, "--frames", *given, "--out", tmp_path / "r.jsonl", status=1)
    assert "noise.wav: has no video, which is required here" in strict.stderr
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (["--frames"], "was not made to watch (its config has no section vision)"),
        (["--retrieve", "store"], "has no prompt for captions of similar sounds"),
        (["--correct"], "names no error detector"),
        (["--rerank", "--beams", "1"], "chooses among beams: --beams must be 2 or more"),
    ],
)
def test_options_without_a_slot_are_refused_before_anything_is_loaded(
    option, reason, tiny_checkpoint, sounds, monkeypatch
):
    from earwitness.checkpoints import folder as checkpoint

    monkeypatch.setattr(checkpoint, "build_model", None)  # nothing may be built
    result = run("caption", sounds, *option, "--model", tiny_checkpoint, "--device", "cpu", status=2)
    assert option[0] in result.stderr and reason in " ".join(result.stderr.split())
