"""`earwitness compare`: finished evaluations read back and set side by side."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

from earwitness import score
from earwitness.cli import app
from earwitness.metrics.report import Report

REFERENCES = [["a dog barks", "dogs bark"], ["rain falls on a roof"], ["a man speaks"], ["wind blows"]]
GOOD = ["a dog barks", "rain falls on a roof", "a man speaks loudly", "wind blows"]
BAD = ["music plays", "rain falls", "a woman sings", "a car passes"]


@pytest.fixture
def folders(tmp_path):
    for name, texts in (("good", GOOD), ("bad", BAD)):
        (tmp_path / name).mkdir()
        score(texts, REFERENCES, "bleu,meteor,cider_d,rouge_l").to_json(tmp_path / name / "report.json")
    return tmp_path / "good", tmp_path / "bad"


def run(*words: object, status: int = 0):
    result = CliRunner().invoke(app, ["compare", *map(str, words)])
    assert result.exit_code == status, (result.output, result.exception)
    return result


def test_a_report_is_read_back_whole(folders) -> None:
    first = score(GOOD, REFERENCES, "bleu,meteor,cider_d,rouge_l")
    again = Report.from_json(folders[0] / "report.json")
    assert (again.corpus, again.clips, again.ids) == (first.corpus, first.clips, first.ids)
    assert (again.candidates, again.references) == (first.candidates, [list(r) for r in first.references])
    assert again.signature == first.signature and again.pooled.keys() == first.pooled.keys()


def test_evaluations_stand_side_by_side(folders, tmp_path) -> None:
    good, bad = (Report.from_json(folder / "report.json") for folder in folders)
    text = run(*folders, "--out", tmp_path / "t.csv").stdout
    lines = text.splitlines()
    assert (
        lines[0].split() == list(good.corpus) and lines[1].startswith("good") and lines[2].startswith("bad")
    )
    rows = {(r["evaluation"], r["metric"]): r for r in csv.DictReader((tmp_path / "t.csv").open())}
    for metric in good.corpus:
        gap = bad.corpus[metric] - good.corpus[metric]
        assert float(rows["bad", metric]["difference"]) == pytest.approx(gap)
        assert rows["good", metric]["difference"] == ""
    run(*folders, "--metrics", "cider_d,meteor", "--out", tmp_path / "t.tex")
    assert "System & cider\\_d & meteor" in (tmp_path / "t.tex").read_text()


def test_faults_are_named(folders, tmp_path) -> None:
    assert "two evaluations or more" in run(folders[0], status=2).stderr
    assert "good has no fense" in run(*folders, "--metrics", "fense", status=2).stderr
    (tmp_path / "odd.json").write_text("{}")
    assert "is no report" in run(folders[0], tmp_path / "odd.json", status=2).stderr
    data = json.loads((folders[1] / "report.json").read_text())
    data["corpus"]["bleu_1"] += 0.1
    (folders[1] / "report.json").write_text(json.dumps(data))
    assert "bleu_1 come out otherwise" in run(*folders, status=2).stderr
