"""Search: BM25 against the formula written out, stores of sounds against cosines by hand, the command."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from earwitness.captions import Caption
from earwitness.cli import app
from earwitness.media.reading import load_audio
from earwitness.retrieval import CaptionDatastore, ClapEmbedder, embedders, search
from earwitness.retrieval.bm25 import best, bm25_scores
from earwitness.retrieval.search import RATE, place_of, search_meaning, search_table
from earwitness.stemming import stem, stems
from earwitness.tables import FORMATS, row, write_rows

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from tiny_parts import write_clap

WORDS = ["dog", "bark", "rain", "far", "bell"]
SAID = [("a dog barks far away", "dog"), ("rain falls", "rain"), ("a bell rings", "church bell ringing")]


def bm25_by_hand(query: list[str], text: list[str], texts: list[list[str]]) -> float:
    mean = sum(map(len, texts)) / len(texts)
    score = 0.0
    for word in set(query):
        n, tf = sum(word in other for other in texts), text.count(word)
        idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
        score += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(text) / mean))
    return score


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), min_size=1, max_size=6),
)
def test_bm25_is_the_formula(query, texts):
    found = bm25_scores(" ".join(query), map(" ".join, texts))
    np.testing.assert_allclose(found, [bm25_by_hand(query, text, texts) for text in texts], atol=1e-12)


def test_best_are_the_greatest_above_zero_in_order():
    assert best(np.array([1.0, 0.0, 3.0, 1.0]), 3) == [2, 0, 3]
    assert best(np.array([1.0, 0.0, 3.0, 1.0]), 9) == [2, 0, 3]
    assert bm25_scores("dog", []).shape == (0,) and not bm25_scores("?!", ["dog"]).any()


@pytest.mark.parametrize(
    "family",
    [
        *("bark barks barking barked", "pass passes passing", "run runs running", "cry cries crying cried"),
        *("drive drives driving", "horse horses", "buzz buzzes buzzing", "bus buses", "tie ties", "bee bees"),
    ],
)
def test_inflections_share_a_stem(family):
    assert len(set(stems(family))) == 1


def test_other_words_do_not():
    assert (
        len({stem(word) for word in "string sing speed need is his ring bus glass bell ball".split()}) == 11
    )


@pytest.fixture
def table(tmp_path, request):
    """Three seconds of three recordings, said in a table of the format asked for; one recording is gone."""
    captions = []
    for number, (text, tag) in enumerate(SAID):
        path = tmp_path / f"{number}#t=.wav"  # a name that looks like a place itself
        if number != 1:
            sound = np.random.default_rng(number).normal(size=3 * 16_000) * 0.1
            soundfile.write(path, sound * np.sin(np.arange(len(sound)) / (3 + number)), 16_000)
        captions.append(Caption(text, 0.5, 1.25, 2.0 + number, ((tag, 0.9),), str(path)))
    path = tmp_path / f"captions{getattr(request, 'param', '.jsonl')}"
    write_rows(map(row, captions), path)
    return path


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("clap"))


def run(*arguments: object, status: int = 0):
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == status, (result.output, result.exception)
    return result


@pytest.mark.parametrize("table", FORMATS, indirect=True)
def test_a_table_is_searched_by_captions_and_tags(table):
    (only,) = search_table("dogs barking, far", table, 5)
    assert (only.path, only.start, only.end) == (str(table.parent / "0#t=.wav"), 1.25, 2.0)
    assert [found.caption for found in search_table("church", table, 5)] == ["a bell rings"]
    result = run("search", "the rain", "--in", table)
    score, path, time, caption = result.stdout.strip().split("\t")
    assert float(score) > 0 and path.endswith("1#t=.wav")
    assert (time, caption) == ("0:01.2–0:03.0", "rain falls")


def letters(texts):
    """Unit vectors of the letters in each text."""
    counts = np.array(
        [[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts], np.float32
    )
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.mark.parametrize("rows", [1, 2, 512])
def test_a_table_is_searched_by_meaning(table, monkeypatch, rows):
    monkeypatch.setattr(search, "ROWS", rows)
    found = search_meaning("rain fell", table, 2, letters)
    cosines = {caption: float(letters([caption])[0] @ letters(["rain fell"])[0]) for caption, _ in SAID}
    expected = sorted(cosines.items(), key=lambda pair: -pair[1])[:2]
    assert [(each.caption, each.score) for each in found] == [
        (c, pytest.approx(s, abs=1e-6)) for c, s in expected
    ]


def test_words_that_no_caption_holds_are_searched_by_meaning(table):
    result = run("search", "canine", "--in", table, "-n", 3)
    assert "No caption contains these words; the nearest in meaning:" in result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert "a dog barks far away" in run("search", "puppy", "--in", table, "--meaning", "-n", 1).stdout


def test_a_model_without_a_joint_space_says_how_to_search_by_meaning(table, tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("earwitness.loading.DEFAULT", tiny_checkpoint)
    result = run("search", "guitar", "--in", table, status=1)
    assert f"earwitness index --captions {table} --out STORE" in result.stderr
    assert "No results for 'guitar'" in result.stderr


def test_a_newline_in_a_name_stays_on_its_line(tmp_path):
    write_rows([row(Caption("a dog barks", 0.5, source="a\nb\tc.wav"))], tmp_path / "t.jsonl")
    (line,) = run("search", "dog", "--in", tmp_path / "t.jsonl").stdout.splitlines()
    assert line.split("\t")[1] == r"a\nb\tc.wav"


def test_what_is_no_table(table, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"a": 1}\n')
    assert "other.jsonl is no table" in run("search", "dog", "--in", other, status=2).stderr
    assert "no caption datastore" in run("search", "dog", "--in", tmp_path, status=2).stderr
    assert "No such file" in run("search", "dog", "--in", tmp_path / "gone.csv", status=2).stderr


def test_a_store_of_sounds_is_searched_by_their_cosines_with_the_query(table, clap, tmp_path, monkeypatch):
    arguments = ("index", "--captions", table, "--sounds", "--out", tmp_path / "store", "--embedder", clap)
    done = run(*arguments, status=1)
    assert (
        "2 sounds of 2 clips" in done.stdout
        and "1 clips could not be decoded; they were skipped" in done.stderr
    )
    embedder = ClapEmbedder(clap)
    places = [(str(tmp_path / f"{i}#t=.wav"), 1.25, 2.0 + i) for i in (0, 2)]
    waveforms = [load_audio(path, RATE, start=start, end=end).waveform for path, start, end in places]
    cosines = embedder.embed_audio(waveforms, RATE) @ embedder.embed_text(["a loud bang"])[0]
    lines = run("search", "a loud bang", "--in", tmp_path / "store").stdout.splitlines()
    order = np.argsort(-cosines)
    assert [line.split("\t")[1] for line in lines] == [places[i][0] for i in order]
    assert [float(line.split("\t")[0]) for line in lines] == pytest.approx(list(cosines[order]), abs=6e-4)
    store = CaptionDatastore.load(tmp_path / "store")
    assert [place_of(name) for name in store.clip_ids] == places


def test_a_store_of_captions_is_searched_by_what_they_mean_and_knows_places(table, clap, tmp_path):
    run("index", "--captions", table, "--out", tmp_path / "store", "--embedder", clap)
    lines = run("search", "rain falls", "--in", tmp_path / "store", "-n", 2).stdout.splitlines()
    assert len(lines) == 2
    score, _, time, caption = lines[0].split("\t")
    assert (float(score), caption, time) == (1.0, "rain falls", "0:01.2–0:03.0")


def test_sounds_embedded_before_are_not_embedded_again(table, clap, tmp_path, monkeypatch):
    (tmp_path / "store" / "embedded").mkdir(parents=True)
    arguments = ("index", "--captions", table, "--sounds", "--out", tmp_path / "store", "--embedder", clap)

    def killed(self, folder, **options):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(CaptionDatastore, "save", killed)
        run(*arguments, status=2)
    monkeypatch.setattr(embedders.ClapEmbedder, "embed_audio", killed)
    assert "2 sounds" in run(*arguments, status=1).stdout


def test_tables_alone_have_sounds(clap, tmp_path):
    (tmp_path / "plain.csv").write_text("id,caption\nx,a dog barks\n")
    arguments = (
        "--captions",
        tmp_path / "plain.csv",
        "--sounds",
        "--out",
        tmp_path / "s",
        "--embedder",
        clap,
    )
    assert "is no table of captions" in run("index", *arguments, status=2).stderr
