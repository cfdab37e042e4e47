"""What a light installation does: captions, timelines, subtitles, archives, scores; what it says it lacks."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from earwitness import Captioner, load_preset, score
from earwitness.extras import MissingExtra
from earwitness.media.files import find_media

from .conftest import EXAMPLES, EXPECTED

torch_is_there = find_spec("torch") is not None
without_torch = pytest.mark.skipif(torch_is_there, reason="torch is installed here")


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner.from_pretrained(device="cpu", runtime="onnx")


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_the_examples_are_captioned_as_by_torch(captioner) -> None:
    files = sorted(find_media(EXAMPLES))
    for file, caption in zip(files, captioner([str(file) for file in files]), strict=True):
        expected = EXPECTED["captions"][file.name]
        assert caption.text == expected["text"], file
        assert caption.score == pytest.approx(expected["score"], abs=1e-3)
        assert dict(caption.tags) == pytest.approx(expected["tags"], abs=1e-4)


def test_a_timeline_is_that_of_torch(captioner) -> None:
    found = list(captioner.timeline(str(EXAMPLES / "street.mp4"), 5.0))
    assert [[c.start, c.end, c.text] for c in found] == [
        [pytest.approx(start, abs=0.01), pytest.approx(end, abs=0.01), text]
        for start, end, text in EXPECTED["timeline"]
    ]


def test_a_folder_becomes_a_table_that_is_resumed(run, tmp_path) -> None:
    files = [EXAMPLES / "jet.opus", EXAMPLES / "farm.opus"]
    out = tmp_path / "all.jsonl"
    run("caption", files[0], "--out", out)
    told = run("caption", *files, "--out", out, "--resume")
    assert "1 of 2 files were captioned before" in told.stderr
    assert {Path(row["path"]).name: row["caption"] for row in rows(out)} == {
        file.name: EXPECTED["captions"][file.name]["text"] for file in files
    }


def test_a_table_is_searched_by_words_and_by_meaning(run, tmp_path) -> None:
    out = tmp_path / "all.jsonl"
    run("caption", EXAMPLES / "jet.opus", EXAMPLES / "woman_and_dog.opus", "--out", out)
    assert "woman_and_dog" in run("search", "dog", "--in", out).stdout
    assert "woman_and_dog" in run("search", "puppy", "--in", out, "--meaning", "-n", 1).stdout


def test_subtitles_and_sound_cues_between_dialogue(run, tmp_path) -> None:
    film = Path(shutil.copy(EXAMPLES / "street.mp4", tmp_path))
    run("caption", film, "--srt")
    assert film.with_suffix(".srt").read_text().count("-->") >= 1
    dialogue = tmp_path / "dialogue.srt"
    dialogue.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello.\n")
    told = run("caption", film, "--merge", dialogue, "--out", tmp_path / "merged.srt")
    assert "sound cues" in told.stderr and "Hello." in (tmp_path / "merged.srt").read_text()


def test_a_printed_table(run) -> None:
    told = run("caption", EXAMPLES / "jet.opus")
    for word in EXPECTED["captions"]["jet.opus"]["text"].split():
        assert word in told.stdout


def test_captions_are_scored(run, tmp_path) -> None:
    said = {"a": ["a dog barks"], "b": ["rain falls"]}
    right = {"a": ["a dog barks", "a dog is barking"], "b": ["rain falls on a roof", "it is raining"]}
    report = score([texts[0] for texts in said.values()], list(right.values()), "bleu_4,rouge_l,cider_d")
    assert 0 < report.corpus["rouge_l"] < 1
    for name, table in (("said", said), ("right", right)):
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    files = "--candidates", tmp_path / "said.json", "--references", tmp_path / "right.json"
    assert "rouge_l" in run("score", *files, "--metrics", "rouge_l").stdout


def test_presets_are_read(run) -> None:
    assert load_preset("mini").model.encoder.kind
    assert "mini" in run("presets").stdout


@pytest.mark.parametrize("arguments", [("--help",), ("caption", "--help"), ("--version",)])
def test_help(run, arguments) -> None:
    assert "earwitness" in run(*arguments).stdout


@without_torch
def test_what_needs_torch_names_the_extra(run, tmp_path) -> None:
    lacking = r"earwitness\[torch\]"
    with pytest.raises(MissingExtra, match=lacking):
        Captioner.from_pretrained(runtime="torch")
    with pytest.raises(MissingExtra, match=lacking):
        from earwitness.checkpoints import load_checkpoint  # noqa: F401
    for arguments in (("--runtime", "torch"), ("--device", "cuda"), ("--rerank",), ("--model", tmp_path)):
        told = run("caption", EXAMPLES / "jet.opus", *arguments, status=2)
        assert "pip install 'earwitness[torch]'" in told.stderr
    for arguments in (("train", "mini", "--out", tmp_path), ("export", "--onnx", tmp_path / "onnx")):
        assert "pip install 'earwitness[" in run(*arguments, status=2).stderr


@pytest.mark.skipif(find_spec("matplotlib") is not None, reason="matplotlib is installed here")
def test_pictures_name_their_extra(run, tmp_path) -> None:
    told = run("caption", EXAMPLES / "jet.opus", "--plot", tmp_path / "jet.png", status=2)
    assert "pip install 'earwitness[plots]'" in told.stderr


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed here")
def test_pictures(run, tmp_path) -> None:
    run("caption", EXAMPLES / "jet.opus", "--plot", tmp_path / "jet.png")
    assert (tmp_path / "jet.png").stat().st_size > 10_000
