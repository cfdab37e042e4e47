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


def test_a_comparison_goes_into_every_file(tmp_path):
    from earwitness.metrics.comparison import compare
    from earwitness.metrics.files.scoring import score_files

    own, second, other = (tmp_path / name for name in ("own.csv", "second.csv", "refs.csv"))
    rows = [(f"c{n}", f"a dog barks {n} times", "wind") for n in range(24)]
    other.write_text("id,caption\n" + "".join(f"{i},{text}\n" for i, text, _ in rows), "utf-8")
    own.write_text("id,caption\n" + "".join(f"{i},{text}\n" for i, text, _ in rows), "utf-8")
    second.write_text("id,caption\n" + "".join(f"{i},{worse}\n" for i, _, worse in rows[::-1]), "utf-8")
    command = ["-c", own, "-r", other, "-m", "rouge_l,cider_d", "--compare", second]
    page = tmp_path / "differences.html"
    done = run(*command, "--out", tmp_path / "r.json", "--differences", page)
    assert done.exit_code == 0, done.output
    assert done.stdout.count(" *\n") == 2 and "after correction for 2 metrics" in done.stdout
    assert "rouge_l    100.00  [100.00, 100.00]" in done.stdout
    stored = json.loads((tmp_path / "r.json").read_text("utf-8"))
    wanted = compare(*(score_files(file, other, "rouge_l,cider_d") for file in (own, second)))["rouge_l"]
    assert stored["comparison"]["system"] == "second" and stored["intervals"]["rouge_l"] == [1.0, 1.0]
    assert stored["comparison"]["metrics"]["rouge_l"] == wanted._asdict() | {"significant": True}
    text = page.read_text("utf-8")
    assert "own, cider_d" in text and "second, cider_d 0.000" in text and "<mark>wind</mark>" in text
    run(*command, "--out", tmp_path / "r.csv")
    header, first, *_ = (tmp_path / "r.csv").read_text("utf-8").splitlines()
    assert header == "id,candidate,rouge_l,cider_d,second.candidate,second.rouge_l,second.cider_d"
    assert first.startswith("c0,a dog barks 0 times,1.0,") and first.endswith(",wind,0.0,0.0")
    run(*command, "--out", tmp_path / "r.tex")
    assert "own & \\textbf{100.00}" in (tmp_path / "r.tex").read_text("utf-8")
    assert run("-c", own, "-r", other, "--differences", page).exit_code == 2


def test_few_clips_get_no_star(files, tmp_path):
    own, other = files
    second = tmp_path / "second.csv"
    second.write_text("id,caption\nx,wind\ny,\n", encoding="utf-8")
    done = run("-c", own, "-r", other, "-m", "rouge_l", "--compare", second)
    assert " *\n" not in done.stdout and "2 clips are too few" in done.stdout


def test_damaged_checkpoints_leave_out_their_metric(files, tmp_path):
    own, other = files
    for name, data in {
        "empty.ckpt": b"",
        "text.ckpt": b"no checkpoint",
        "cut.ckpt": b"PK\x03\x04" + b"\0" * 40,
    }.items():
        (tmp_path / name).write_bytes(data)
        done = run("-c", own, "-r", other, "-m", "rouge_l,fer,spider_fl", "--error-model", tmp_path / name)
        assert done.exit_code == 0 and "Aborted" not in done.output, done.output
        assert "rouge_l" in done.stdout and "fer needs the model" in done.stdout and name in done.stdout


def test_a_metric_that_is_nearly_named(files):
    own, other = files
    done = run("-c", own, "-r", other, "-m", "cider-D")
    assert done.exit_code == 2 and "there is no metric 'cider-D'; did you mean 'cider_d'?" in done.stderr
    assert "did you mean 'meteor'?" in run("-c", own, "-r", other, "-m", "metor").stderr


def test_one_file_in_both_roles(tmp_path):
    file = tmp_path / "both.csv"
    file.write_text("caption_predicted,caption_1,caption_2\na dog,the dog,\nrain,rain,it rains\n", "utf-8")
    done = run("-c", file, "-r", file, "-m", "rouge_l")
    assert done.exit_code == 0 and "clips:2|refs:1-2" in done.stdout
    assert "Note: " in done.stderr and "1 empty references are left out" in done.stderr


def test_named_columns_and_partial(files, tmp_path):
    own = tmp_path / "own.tsv"
    own.write_text("key\tsaid\nx\ta dog barks\n", encoding="utf-8")
    named = ["-c", own, "-r", files[1], "-m", "rouge_l", "--id-column", "key", "--caption-column", "said"]
    assert run(*named).exit_code == 2
    done = run(*named, "--partial", "--reference-column", "caption")
    assert done.exit_code == 0 and "partial:1/2" in done.stdout


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
