"""`earwitness score` from the command line."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from earwitness.cli.score import score

app = typer.Typer()
app.command()(score)


@pytest.fixture
def files(tmp_path):
    own, other = tmp_path / "own.csv", tmp_path / "refs.csv"
    own.write_text("id,caption\nx,a dog barks\ny,rain falls on a roof\n", encoding="utf-8")
    other.write_text("id,caption\nx,the dog barks\nx,a dog is barking\ny,rain on a roof\n", encoding="utf-8")
    return own, other


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_scores_and_writes(files, tmp_path):
    own, other = files
    done = run(
        "-c",
        own,
        "-r",
        other,
        "-m",
        "rouge_l,cider_d",
        "--out",
        tmp_path / "r.json",
        "--worst",
        tmp_path / "w.html",
    )
    assert done.exit_code == 0, done.output
    assert "rouge_l" in done.stdout and "clips:2|refs:1-2" in done.stdout
    assert set(json.loads((tmp_path / "r.json").read_text())["corpus"]) == {"rouge_l", "cider_d"}
    assert (tmp_path / "w.html").is_file()


def test_compares_two_systems(files, tmp_path):
    own, other = files
    second = tmp_path / "second.csv"
    second.write_text("id,caption\nx,wind\ny,rain\n", encoding="utf-8")
    done = run("-c", own, "-r", other, "-m", "rouge_l", "--compare", second)
    assert done.exit_code == 0 and "95 % interval" in done.stdout


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["-m", "cidre"], "there is no metric 'cidre'"),
        (["--out", "r.xlsx"], "written as .json, .csv or .tex"),
        (["--worst", "/no/such/folder/w.html"], "does not exist"),
    ],
)
def test_mistakes_are_said_without_a_traceback(files, extra, message):
    own, other = files
    done = run("-c", own, "-r", other, *extra)
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.output


def test_a_file_that_is_not_there(tmp_path):
    done = run("-c", tmp_path / "no.csv", "-r", tmp_path / "no.csv")
    assert done.exit_code == 2 and "no.csv" in done.stderr


def test_document_frequency_of_other_references(files, tmp_path):
    _, other = files
    own_only = tmp_path / "one.csv"
    own_only.write_text("id,caption\nx,a dog barks\n", encoding="utf-8")
    reference = tmp_path / "one_refs.csv"
    reference.write_text("id,caption\nx,the dog barks\n", encoding="utf-8")
    done = run("-c", own_only, "-r", reference, "-m", "cider_d", "--document-frequency", other)
    assert done.exit_code == 0 and "df:given" in done.stdout
    assert run("-c", own_only, "-r", reference, "-m", "cider_d").exit_code == 1
