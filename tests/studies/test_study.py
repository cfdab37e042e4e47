"""`earwitness study` at tiny width: trains, tests, resumes, prints; and --check finds what is missing."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earwitness.cli import app

sys.path.append(str(Path(__file__).parent))
from tiny_study import TINY, write_split, write_towers


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with towers and train, validation and test manifests, the current one of nobody."""
    write_towers(tmp_path)
    for number, (name, count) in enumerate((("train", 4), ("validation", 2), ("test", 4))):
        (tmp_path / "mine").mkdir(exist_ok=True)
        write_split(tmp_path / "mine" / f"{name}.jsonl", count, 100 * number)
    return tmp_path


def study(*words: object, status: int = 0):
    result = CliRunner().invoke(app, ["study", *map(str, words)])
    assert result.exit_code == status, (result.output, result.stderr, result.exception)
    return result


def test_the_plan_of_every_table_of_every_paper_is_printed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = study("--check", "--seeds", "1", status=2)
    for place in ("LAMB 2", "LAVCap IV", "LOAE DCASE", "DistillCaps 5", "DistillCaps Fig. 5"):
        assert f"\n{place}: " in f"\n{result.stdout}"
    assert "full / freeze on audiocaps, seed 0" in result.stdout
    assert "50 epochs of clotho/development-retrieved.jsonl, batch 64" in result.stdout
    assert "there is no such manifest" in result.stderr and "audiocaps/test.jsonl" in result.stderr


@pytest.mark.slow
def test_a_table_is_trained_tested_resumed_and_printed(data, monkeypatch) -> None:
    monkeypatch.chdir(data)
    towers = ["model.encoder.source=ced-base", "model.language_model.source=Llama-2-7b-hf"]
    words = ["lamb", "--table", "3", "--table", "2", "--data", "mine", "--seeds", "2", "--out", "runs"]
    words += ["--metrics", "rouge_l,cider_d,spice_approx,spider_approx", "only=[finetune]", *towers, *TINY]
    words += ["parts.qformer.hidden=24", "parts.qformer.heads=2", "--device", "cpu"]
    result = study(*words)
    assert "LAMB 3 on mine: scores of the Token Guide" in result.stdout
    assert "published, audiocaps" in result.stdout
    rows = {
        (r["table"], r["row"], r["metric"]): r for r in csv.DictReader((data / "runs" / "study.csv").open())
    }
    whole = rows["3", "squared L2", "cider_d"]
    assert whole["seeds"] == "2" and whole["published"] == "91.1" and whole["mean"]
    assert rows["2", "CMA", "cider_d"]["mean"] == whole["mean"]  # one training, one test
    assert float(rows["2", "Q-Former", "gap_l2"]["mean"]) > 0 and rows["2", "Q-Former", "loss"]["mean"]
    assert rows["3", "L1", "spider_approx"]["verdict"] in ("within noise", "holds", "does not hold")
    trained = list((data / "runs" / "trained").iterdir())
    assert len(trained) == 2 * (2 + 3)  # seeds x (Q-Former, linear, and the three scores)
    report = next((data / "runs" / "evaluated").glob("*/report.json"))
    values = json.loads(report.read_text())["corpus"]
    assert set(values) == {"rouge_l", "cider_d", "spice_approx", "spider_approx"}
    before = {path: path.stat().st_mtime_ns for path in (data / "runs").glob("*/*/*") if path.is_file()}
    again = study(*words)
    assert again.stdout == result.stdout and "training 1" not in again.stderr
    after = {path: path.stat().st_mtime_ns for path in (data / "runs").glob("*/*/*") if path.is_file()}
    assert after == before
    assert "\\begin{tabular}" in (data / "runs" / "study.tex").read_text()


@pytest.mark.slow
def test_retrieved_captions_are_shown_where_the_row_says(data, monkeypatch) -> None:
    """DistillCaps 2: one training; tested without and with the manifest's column, the captions differ."""
    monkeypatch.chdir(data)
    for name in ("train", "validation", "test"):
        file = data / "mine" / f"{name}.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        found = [row | {"retrieved": ["rain falls on a roof", "a bell rings"]} for row in rows]
        file.write_text("".join(json.dumps(row) + "\n" for row in found))
    words = [
        "distillcaps",
        "--table",
        "2",
        "--data",
        "mine",
        "--seeds",
        "1",
        "--out",
        "runs",
        "--device",
        "cpu",
    ]
    words += ["--metrics", "rouge_l", "model.encoder.source=ced-base", *TINY, "parts.qformer.hidden=24"]
    words += [
        "model.language_model.source=Llama-2-7b-hf",
        "parts.qformer.heads=2",
        "stages.0.learning_rate=0.01",
    ]
    result = study(*words)
    assert "one seed: no verdict" in (data / "runs" / "study.csv").read_text()
    assert "B1" in result.stdout
    assert len(list((data / "runs" / "trained").iterdir())) == 1
    shown = [json.loads(p.read_text()) for p in (data / "runs" / "evaluated").glob("*/settings.json")]
    assert sorted(str(s["decoding"]["retrieve"]) for s in shown) == ["None", "manifest"]
    first, second = (p.read_text() for p in (data / "runs" / "evaluated").glob("*/captions.jsonl"))
    assert first != second


def test_faults_are_found_before_anything_is_trained(data, monkeypatch) -> None:
    monkeypatch.chdir(data)
    words = ["lamb", "--table", "4", "--data", "mine", "--out", "runs", "only=[finetune]", *TINY]
    result = study(*words, "model.encoder.source=nowhere/at", status=2)
    assert "encoder.source" in result.stderr and not (data / "runs" / "trained").exists()
    assert "did you mean 'cider_d'" in study(*words, "--metrics", "cidre_d", status=2).stderr
    assert not (data / "runs" / "trained").exists()
    write_split(data / "mine" / "test.jsonl", 0, 0)
    assert "no row has captions" in study(*words, status=2).stderr
    assert "name a paper" in study(status=2).stderr
    assert "--scenes needs --captions" in study("lamb", "--scenes", "bank", status=2).stderr


@pytest.mark.parametrize("words", [["lamp"], ["lamb", "--table", "99"], ["lamb", "nonsense=1"]])
def test_what_is_not_there_is_named(words, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = study(*words, status=2)
    assert result.stderr.startswith("Error: ") and "Traceback" not in result.output
