"""METEOR against the original's values: equal to the last bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import pytest
import tqdm

from earwitness.metrics.corpus import Corpus
from earwitness.metrics.meteor import data as data_module
from earwitness.metrics.meteor.alignment import Match, align
from earwitness.metrics.meteor.matches import synonym_sets
from earwitness.metrics.meteor.score import formula, meteor
from earwitness.metrics.meteor.text import normalize


@pytest.mark.parametrize(("part", "tokenize"), [("clotho", True), ("stress", False)])
def test_equal_to_the_jar(golden, meteor_data, part, tokenize):
    rows = golden[part]
    found = meteor(Corpus(rows["candidates"], rows["references"], tokenize=tokenize))
    wanted = rows["clips"]["meteor"] if part == "clotho" else rows["clips"]
    assert found.clips == wanted
    assert found.corpus == (rows["corpus"]["meteor"] if part == "clotho" else rows["corpus"])


def test_all_clips(shared, meteor_data):
    rows = json.loads((shared / "clotho_conette.json").read_text(encoding="utf-8"))
    found = meteor(Corpus([r["cand"] for r in rows], [r["refs"] for r in rows]))
    assert found.clips == [r["scores"]["meteor"] for r in rows]
    stress = json.loads((shared / "meteor_stress_a.json").read_text(encoding="utf-8"))
    assert (
        meteor(Corpus(stress["candidates"], stress["references"], tokenize=False)).clips == stress["meteor"]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog 's bark", "a dog ' s bark"),
        ("a 10-second clip-clop", "a 10 second clip clop"),
        ("cock-a-doodle-doo", "cock a-doodle doo"),
        ("the u.s. army", "the us army"),
        ("steam/hiss", "steam / hiss"),
        ("is n't", "is n 't"),
        ("1,000 dogs , cats", "1,000 dogs , cats"),
        ("No. 5", "no. 5"),
        ("No. 5th", "no. 5th"),
        ("well. He", "well . he"),
        ("x ... y", "x ... y"),
        ("x––y –-z 5–6 '–'", "x - - y - -z 5 - 6 ' - '"),
        ("\x07 a \x07 b \x1b", "a \x07 b"),
        ("“x” ‘y’", "\" x \" ' y '"),
    ],
)
def test_normalisation(meteor_data, text, words):
    assert " ".join(normalize(text, meteor_data)) == words


def test_synonyms_come_from_the_word_and_its_base_form(meteor_data):
    assert set(synonym_sets("ringing", meteor_data)) & set(synonym_sets("band", meteor_data))
    assert set(synonym_sets("was", meteor_data)) >= set(synonym_sets("be", meteor_data))
    assert synonym_sets("zzzz", meteor_data) == []


def test_words_of_one_hash_are_one_word(meteor_data):
    """What the jar says of them; "25" and "0s" have the same String.hashCode."""
    pairs = {("25 dogs", "0s dog"): 0.8, ("a25", "a0s"): 1.0, ("a25ing", "a0sed"): 0.6, ("0s", "25th"): 0.0}
    found = meteor(Corpus([c for c, _ in pairs], [[r] for _, r in pairs], tokenize=False))
    assert found.clips == list(pairs.values())


def test_alignment_prefers_the_open_chunk():
    # Two places for the last word: next to the others, or far away.
    options = [[Match(0, 1, 0, 1, 0)], [Match(1, 1, 1, 1, 0), Match(1, 1, 4, 1, 0)]]
    chosen, chunks = align(options, 5)
    assert [m.i for m in chosen] == [0, 1]
    assert chunks == 1


def test_values_that_can_be_reckoned(meteor_data):
    found = meteor(Corpus(["a dog", "", "zzzz qqqq", "a dog"], [["a dog"], ["a dog"], ["a dog"], [""]]))
    assert found.clips == [1.0, 0.0, 0.0, 0.0]
    assert formula([0.0] * 23) == 0.0


@pytest.mark.parametrize(
    ("score", "statistics"),
    [  # of captions of some hundred words, where the order of sums shows; what the jar makes of them
        (0.16677797287264437, "103 107 40 34 14 14 30 30 0 0 0 0 7 7 0 0 5 5 1 1 47 57 57"),
        (0.17499863575151406, "106 85 39 32 10 10 25 25 4 4 0 0 7 7 0 0 2 2 2 1 43 50 49"),
        (0.13340798664993012, "107 109 34 32 12 12 20 20 0 0 0 0 7 7 0 0 5 5 3 1 38 47 45"),
        (0.1903067272381694, "134 89 50 31 17 17 20 20 2 2 0 0 6 5 0 1 3 6 4 0 41 52 51"),
    ],
)
def test_long_captions_equal_the_jar_to_the_last_bit(score, statistics):
    assert formula([float(number) for number in statistics.split()]) == score


def test_a_very_long_caption_does_not_hang(meteor_data):
    begin = time.process_time()
    meteor(Corpus(["a dog barks " * 9_000], [["a dog barks " * 9_000, "a dog"]], tokenize=False))
    assert time.process_time() - begin < 30


def test_missing_package_is_said_plainly(monkeypatch):
    monkeypatch.setattr(data_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(data_module.MissingData, match=r"pip install 'earwitness\[metrics\]'"):
        data_module.package_folder()


@pytest.fixture
def small_source(tmp_path, monkeypatch):
    """A table of three pairs in the layout of the real one."""
    import gzip
    import zipfile

    folder = tmp_path / "pycocoevalcap" / "meteor"
    (folder / "data").mkdir(parents=True)
    lines = "0.5\nbig dog\nlarge dog\n0.4\nbig dog\nhound\n0.3\nhound\nbig dog\n"
    (folder / "data" / "paraphrase-en.gz").write_bytes(gzip.compress(lines.encode()))
    with zipfile.ZipFile(folder / "meteor-1.5.jar", "w") as jar:
        jar.writestr("synonym/english.synsets", "dog\n1 2\n")
        jar.writestr("synonym/english.exceptions", "goose\ngeese geeses\n")
        jar.writestr("function/english.words", "the\n")
        jar.writestr("nonbreaking/english.prefixes", "Mr\n# note\nNo #NUMERIC_ONLY#\n")
    monkeypatch.setattr(data_module, "package_folder", lambda: tmp_path / "pycocoevalcap")
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_progress_of_the_index_ends_where_the_table_does(small_source, monkeypatch):
    bars = []
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: bars.append(Bar(options["total"])) or bars[-1])
    table = small_source.parent / "pycocoevalcap" / "meteor" / "data" / "paraphrase-en.gz"
    phrases = [line for lines in data_module._blocks(table, size=7) for line in lines]
    assert phrases == [b"big dog", b"large dog", b"big dog", b"hound", b"hound", b"big dog"]
    assert bars[0].n == bars[0].total == table.stat().st_size


class Bar:
    """A progress bar that only counts."""

    def __init__(self, total: int) -> None:
        self.total, self.n = total, 0

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def update(self, count: int) -> None:
        self.n += count


def test_index_build(small_source, monkeypatch):
    data = data_module.load.__wrapped__()
    assert data.words == {"big": 1, "dog": 2, "hound": 3, "large": 4}
    assert data.targets.tolist().__len__() == 3
    numbers = {key: n for n, key in enumerate(data.phrases.tolist())}
    big_dog, hound = numbers[b"\0\1\0\2"], numbers[b"\0\3"]
    begin, end = data.starts[big_dog : big_dog + 2]
    assert data.targets[begin:end].tolist() == [numbers[b"\0\4\0\2"], hound]  # the file's order
    assert data.bases == {"geese": "goose", "geeses": "goose"}
    assert data.prefixes == {"Mr", "No #NUMERIC_ONLY#"} - {"No #NUMERIC_ONLY#"} | {"No #NUMERIC_ONLY#"}


def test_a_killed_build_leaves_nothing_that_looks_complete(small_source, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(data_module, "_write_paraphrases", die)
        with pytest.raises(KeyboardInterrupt):
            data_module.load.__wrapped__()
    assert list(small_source.iterdir()) == []
    assert len(data_module.load.__wrapped__().targets) == 3


def test_what_a_killed_process_left_is_passed_over_and_later_removed(small_source, monkeypatch):
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(data_module, "_write_paraphrases", die)
        process = multiprocessing.get_context("fork").Process(target=data_module.load.__wrapped__)
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    (leftover,) = small_source.iterdir()
    assert len(data_module.load.__wrapped__().targets) == 3
    assert leftover.is_dir()  # for all one knows another process is at work there
    os.utime(leftover, (0, 0))
    data_module.build(small_source / data_module._LAYOUT)
    assert not leftover.exists()


def test_two_builds_at_once_both_end_with_an_index(small_source):
    from concurrent.futures import ThreadPoolExecutor

    folder = small_source / "index"
    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(data_module.build, folder) for _ in range(2)]:
            job.result()
    assert [path.name for path in small_source.iterdir()] == ["index"]
    assert (folder / "targets.npy").is_file()
