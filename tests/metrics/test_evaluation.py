"""score(), the report and its forms, comparisons, files, and what happens with bad input."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from earwitness import score
from earwitness.metrics.comparison import compare
from earwitness.metrics.evaluation import metric_names
from earwitness.metrics.files.scoring import read_captions, score_files
from earwitness.metrics.report import latex_table
from earwitness.metrics.worst_cases import write_differences, write_page

CANDIDATES = ["a dog barks loudly", "rain falls on a roof", "a man speaks"]
REFERENCES = [
    ["a dog is barking", "the dog barks loudly outside"],
    ["rain is falling on a tin roof"],
    ["a man talks to a woman", "a man is speaking", "someone speaks"],
]
QUICK = "bleu,rouge_l,cider_d,vocabulary,diversity"


def test_default_report(golden, meteor_data):
    rows = golden["clotho"]
    report = score(rows["candidates"], rows["references"])
    assert set(report.corpus) >= {
        "bleu_1",
        "bleu_4",
        "rouge_l",
        "meteor",
        "cider_d",
        "spice_approx",
        "spider_approx",
    }
    assert report.missing == {}
    assert (
        "spice" not in report.corpus and "spider" not in report.corpus
    )  # an approximation never takes the name
    assert report.clips["meteor"] == rows["clips"]["meteor"]
    halves = (np.array(report.clips["cider_d"]) + report.clips["spice_approx"]) / 2
    np.testing.assert_array_equal(report.clips["spider_approx"], halves)
    assert report.signature.startswith("earwitness:")
    assert "clips:300|refs:5" in report.signature and "spice_approx:rules" in report.signature
    assert all(len(values) == 300 for values in report.clips.values())


def test_spice_approx_follows_true_spice(shared, meteor_data):
    rows = json.loads((shared / "clotho_conette.json").read_text(encoding="utf-8"))
    report = score([r["cand"] for r in rows], [r["refs"] for r in rows], "spice_approx")
    true = np.array([r["scores"]["spice"] for r in rows])
    assert np.corrcoef(report.clips["spice_approx"], true)[0, 1] >= 0.89
    assert report.corpus["spice_approx"] == pytest.approx(true.mean(), rel=0.1)


def test_spice_approx_on_the_slice(golden, meteor_data):
    rows = golden["clotho"]
    found, true = score(rows["candidates"], rows["references"], "spice_approx"), rows["clips"]["spice"]
    assert np.corrcoef(found.clips["spice_approx"], true)[0, 1] > 0.88
    assert found.corpus["spice_approx"] == pytest.approx(np.mean(true), rel=0.1)


def test_metric_names():
    assert metric_names("bleu, cider_d,bleu_1") == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider_d"]
    with pytest.raises(ValueError, match="there is no metric 'cidre'"):
        metric_names(["cidre"])


def test_missing_parts_are_named_and_the_rest_comes():
    report = score(
        CANDIDATES, REFERENCES, "rouge_l,clap_score,mace,spice,spider,spider_fl", error_model="/nowhere.ckpt"
    )
    assert set(report.corpus) == {"rouge_l"}
    assert set(report.missing) == {"clap_score", "mace", "spice", "spider", "spider_fl"}
    assert "pass audio=" in report.missing["clap_score"]
    assert "--spice-home" in report.missing["spice"] and report.missing["spider"] == report.missing["spice"]
    lines = str(report).splitlines()
    left_out = [line for line in lines if "left out" in line]
    assert len(left_out) == 1 and all(name in left_out[0] for name in report.missing)
    assert left_out[0].startswith("left out: clap_score (clap_score needs the sounds") and len(lines) == 3
    assert "spice, spider, spider_fl (SPICE needs" in left_out[0] and "neural_text" not in lines[-1]


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "nothing to score"),
        (["a"], [], "1 candidates but 0 clips"),
        (["a", "b"], [["a"], []], "clip 1 has no reference"),
        (["a"], ["a"], "references of clip 0: a list is wanted, not a single text"),
        ("a", [["a"]], "candidates: a list is wanted, not a single text"),
        (None, [["a"]], "candidates: a list is wanted, not NoneType"),
        ({"x": "a"}, [["a"]], "candidates: a list is wanted, not dict"),
        (["a"], None, "references: a list is wanted, not NoneType"),
        (["a"], {"x": ["a"]}, "references: a list is wanted, not dict"),
        (["a"], [None], "references of clip 0: a list is wanted, not NoneType"),
        (["a"], [{"a"}], "references of clip 0: a list is wanted, not set"),
        ([None], [["a"]], "candidate 0 is neither"),
        (["a"], [[3]], "a reference of clip 0 is int"),
        ([[]], [["a"]], "candidate 0 is neither"),
    ],
)
def test_bad_input_is_said(candidates, references, message):
    with pytest.raises(ValueError, match=message):
        score(candidates, references, QUICK)


def test_anything_with_an_order_will_do():
    wanted = score(CANDIDATES, REFERENCES, QUICK, ids=["x", "y", "z"])
    found = score(iter(CANDIDATES), map(tuple, REFERENCES), iter(QUICK.split(",")), ids=iter("xyz"))
    assert found.clips == wanted.clips and found.ids == wanted.ids


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="score has no option spice_hom; known: sbert_model"):
        score(CANDIDATES, REFERENCES, QUICK, spice_hom="x")
    with pytest.raises(
        ValueError, match="score has no option spice_hom; known"
    ):  # the known one is not named
        score(CANDIDATES, REFERENCES, QUICK, spice_hom="x", neural_text="ptb")
    with pytest.raises(ValueError, match="2 distinct ids"):
        score(CANDIDATES, REFERENCES, QUICK, ids=["x", "y", "x"])
    with pytest.raises(ValueError, match="2 distinct ids"):
        score(CANDIDATES, REFERENCES, QUICK, ids=[1, "1", 2])  # a report names clips by text
    with pytest.raises(ValueError, match="metrics: a list is wanted, not NoneType"):
        score(CANDIDATES, REFERENCES, None)
    with pytest.raises(ValueError, match="there is no metric '3'"):
        score(CANDIDATES, REFERENCES, [3])


def test_odd_captions_keep_their_rows(meteor_data):
    odd = ["", "\n", "a\u2028dog\nbarks", "👍", "  ", "!!!", "-lrb- (", "a dog barks"]
    report = score(odd, [["a dog barks"]] * len(odd))
    for name in ("bleu_1", "rouge_l", "meteor", "cider_d", "spice_approx"):
        values = report.clips[name]
        assert values[2] == values[7] and values[:2] == [0, 0] and values[3:5] == [0, 0], name
        assert np.isfinite(values).all()


def test_one_clip_has_no_cider_but_everything_else(meteor_data):
    report = score(["a dog"], [["a dog"]])
    assert "at least two clips" in report.missing["cider_d"] and "cider_d" not in report.corpus
    assert report.corpus["meteor"] == 1.0


def test_spider_max_takes_the_best_candidate(monkeypatch):
    from earwitness.metrics.rouge_l import rouge_l
    from earwitness.metrics.spice import official as module

    monkeypatch.setattr(module, "spice", lambda corpus, home: rouge_l(corpus))
    one, two = CANDIDATES, ["a dog is barking", "wind", "a man is speaking"]
    alone = [score(c, REFERENCES, "spider").clips["spider"] for c in (one, two)]
    both = score([list(pair) for pair in zip(one, two, strict=True)], REFERENCES, "spider_max,spider")
    assert both.clips["spider_max"] == np.max(alone, axis=0).tolist()
    assert both.clips["spider"] == alone[0]


def test_forms_of_a_report(tmp_path):
    report = score(CANDIDATES, REFERENCES, QUICK, ids=["x", "y,1", "z"])
    report.to_json(tmp_path / "r.json")
    stored = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert stored["corpus"] == report.corpus and stored["clips"][1]["id"] == "y,1"
    report.to_csv(tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["x", "y,1", "z"]
    assert [float(row["rouge_l"]) for row in rows] == report.clips["rouge_l"]
    table = latex_table({"ours & co": report, "b": report}, ["rouge_l", "bleu_4"])
    assert r"ours \& co & \textbf{" in table and r"rouge\_l" in table and table.count(r"\\") == 3
    with pytest.raises(ValueError, match="b has no meteor"):
        latex_table({"b": report}, ["meteor"])


def test_hostile_names_and_half_characters_in_all_forms(tmp_path):
    """Names are data: no new line of LaTeX, no tag of HTML; half a surrogate loses no report."""
    odd = "</h2><script>\n\\input{x}%&\ud800"
    report = score([odd, "rain"], [[odd], ["rain"]], "rouge_l", ids=[odd, "y"])
    rows = report.to_latex("a\n\\input{x} & b").split("\n")
    assert r"a \textbackslash{}input\{x\} \& b & 100.00 \\" in rows
    assert all(row.startswith(("\\", "System", "a ", "% a ")) for row in rows[:-1])
    write_page(report, tmp_path / "w.html")
    text = (tmp_path / "w.html").read_text("utf-8")
    assert "<script" not in text and "&lt;/h2&gt;&lt;script&gt;" in text
    report.to_csv(tmp_path / "r.csv")
    report.to_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["clips"][0]["id"] == odd


def test_comparison_intervals():
    generator = np.random.default_rng(1)
    words = "dog cat rain wind man woman car train".split()
    references = [[" ".join(generator.choice(words, 6)) for _ in range(2)] for _ in range(200)]
    good = [texts[0] if generator.random() < 0.7 else "dog" for texts in references]
    bad = [texts[0] if generator.random() < 0.3 else "dog" for texts in references]
    first, second = score(good, references, "rouge_l"), score(bad, references, "rouge_l")
    row = compare(first, second)["rouge_l"]
    assert row.significant and row.low < row.difference < row.high and row.p < 0.01
    assert row.difference == pytest.approx(first.corpus["rouge_l"] - second.corpus["rouge_l"])
    # The bootstrap's interval is that of the normal approximation, give or take sampling noise.
    differences = np.array(first.clips["rouge_l"]) - second.clips["rouge_l"]
    assert row.high - row.low == pytest.approx(2 * 1.96 * differences.std() / np.sqrt(200), rel=0.05)
    mirrored = compare(second, first)["rouge_l"]
    assert mirrored.low == pytest.approx(-row.high, abs=1e-12)
    assert compare(first, first)["rouge_l"].p == 1.0
    with pytest.raises(ValueError, match="different clips"):
        compare(first, score(good[:100], references[:100], "rouge_l"))


def test_pooled_metrics_are_compared_by_their_corpus_values(golden, meteor_data):
    rows = golden["clotho"]
    references = rows["references"][:40]
    names = ["bleu_1", "bleu_4", "meteor", "cider_d"]
    first = score(rows["candidates"][:40], references, names)
    second = score([texts[0] for texts in references[1:] + references[:1]], references, names)
    found = compare(first, second, samples=50)
    generator, drawn = np.random.default_rng(0), []
    for _ in range(50):
        drawn.append(generator.integers(40, size=(1, 40))[0])
    for name in ("bleu_1", "bleu_4", "meteor"):
        assert found[name].difference == first.corpus[name] - second.corpus[name]
        differences = []
        for clips in drawn:  # the slow way: score the drawn clips as a corpus of their own
            chosen = [references[n] for n in clips]
            values = [
                score([report.candidates[n] for n in clips], chosen, name).corpus[name]
                for report in (first, second)
            ]
            differences.append(values[0] - values[1])
        low, high = np.quantile(differences, [0.025, 0.975])
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12)
    assert found["cider_d"].difference == pytest.approx(
        np.mean(first.clips["cider_d"]) - np.mean(second.clips["cider_d"])
    )


def test_reports_are_compared_by_id():
    first = score(CANDIDATES, REFERENCES, QUICK, ids=["x", "y", "z"])
    turned = score(CANDIDATES[::-1], REFERENCES[::-1], QUICK, ids=["z", "y", "x"])
    rows = compare(first, turned)
    assert rows["bleu_1"].p == rows["cider_d"].p == 1.0
    assert all(max(abs(row.low), abs(row.high)) < 1e-12 for row in rows.values())
    with pytest.raises(ValueError, match="different clips"):
        compare(first, score(CANDIDATES, REFERENCES, QUICK, ids=["x", "y", "w"]))


def test_worst_cases_page(tmp_path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    (sounds / "a b&.wav").write_bytes(b"")
    report = score(["zzz <b>", "rain falls"], [["a dog"], ["rain falls"]], "rouge_l", ids=["a b&", "y"])
    page = tmp_path / "worst.html"
    write_page(report, page, audio=sounds)
    text = page.read_text(encoding="utf-8")
    assert text.index("a b&amp;") < text.index("<h2>y")
    assert '<audio controls preload="none" src="sounds/a%20b%26.wav">' in text and text.count("<audio") == 1
    assert "<mark>&lt;b&gt;</mark>" in text and "<mark>rain" not in text
    assert "http" not in text.replace("http-equiv", "")  # nothing is fetched from elsewhere
    with pytest.raises(ValueError, match="no per-clip values of meteor"):
        write_page(report, page, metric="meteor")


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_files_of_all_kinds_agree(tmp_path):
    wanted = {"x": ["a dog, barking", "dog"], "y": ["rain"]}
    files = [
        write(tmp_path / "a.csv", '\ufeffid,caption\nx,"a dog, barking"\ny,rain\nx,dog\n'),
        write(tmp_path / "b.csv", 'file_name,caption_1,caption_2\nx,"a dog, barking",dog\ny,rain,\n'),
        write(tmp_path / "a.json", json.dumps(wanted)),
        write(tmp_path / "b.json", json.dumps([{"id": k, "captions": v} for k, v in wanted.items()])),
        write(
            tmp_path / "a.jsonl",
            "\n".join(json.dumps({"id": k, "caption": v}) for k, v in wanted.items()) + "\n",
        ),
    ]
    for path in files:
        assert read_captions(path) == wanted, path


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "name,words\nx,a dog\n", "no column with an id; it has name, words"),
        ("a.csv", "id,words\nx,a dog\n", "no column with a caption"),
        ("a.csv", "id,caption\nx,a dog, barking\n", "line 2: more fields"),
        ("a.csv", "id,caption\n", "holds no captions"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.json", '{"x": "a dog", "x": "rain"}', "duplicate name 'x'"),
        ("a.jsonl", '{"id": "x", "caption": "a", "caption": "b"}', "duplicate name 'caption'"),
        ("a.json", "3", "holds int"),
        ("a.json", "[3]", "row 1: int instead of"),
        ("a.json", '[{"id": 1, "caption": 4}]', "not a text or a list"),
        ("a.txt", "x", "are read from .csv"),
    ],
)
def test_bad_files_are_said(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        read_captions(write(tmp_path / name, text))


def test_rows_meet_by_id(tmp_path):
    own = write(tmp_path / "c.csv", "id,caption\ny,rain\nx,dog\n")
    other = write(tmp_path / "r.csv", "id,caption\nx,dog\ny,rain\ny,rain falls\n")
    report = score_files(own, other, "rouge_l")
    assert report.ids == ["y", "x"] and report.clips["rouge_l"] == [1.0, 1.0]
    with pytest.raises(ValueError, match="1 candidates have no reference in .*: 'z'"):
        score_files(write(tmp_path / "d.csv", "id,caption\nx,dog\ny,rain\nz,wind\n"), other, "rouge_l")
    with pytest.raises(ValueError, match="1 clips of .* have no candidate"):
        score_files(write(tmp_path / "e.csv", "id,caption\nx,dog\n"), other, "rouge_l")
    with pytest.raises(ValueError, match="several captions for 1 ids"):
        score_files(write(tmp_path / "f.csv", "id,caption\nx,dog\nx,cat\ny,rain\n"), other, "rouge_l")


def test_a_cache_that_cannot_be_written_moves_to_a_temporary_folder(monkeypatch, tmp_path):
    from earwitness.metrics.meteor import data

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(data.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(data, "build", lambda folder: folder.mkdir(parents=True))
    with pytest.warns(
        UserWarning, match="cannot be written .* name another folder in EARWITNESS_CACHE"
    ) as caught:
        folder = data._index()
    assert caught[0].filename == __file__, "the warning names the line that asked for the index"
    assert folder.is_dir() and folder.parent == data.temporary_cache() and folder.is_relative_to(tmp_path)


def test_a_cache_that_cannot_be_written_keeps_spice_tuples_in_memory(tmp_path):
    from earwitness.metrics.spice.official import TupleCache

    (tmp_path / "file").write_text("")
    cache = TupleCache(tmp_path / "file" / "spice-tuples")
    cache.add({"a dog": [("dog",)]})
    assert "a dog" in cache and cache["a dog"] == [("dog",)]


def test_a_failing_disk_leaves_out_one_metric(monkeypatch):
    from earwitness.metrics.meteor import score as module

    def full(corpus):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "meteor", full)
    report = score(CANDIDATES, REFERENCES, "rouge_l,meteor,cider_d")
    assert set(report.corpus) == {"rouge_l", "cider_d"} and "No space left" in report.missing["meteor"]


def test_progress_names_each_metric():
    seen = []
    score(CANDIDATES, REFERENCES, "rouge_l,cider_d", progress=lambda *step: seen.append(step))
    assert seen == [("rouge_l", 0, 2), ("cider_d", 1, 2)]


def test_vocabulary_against_the_references():
    report = score(["a dog", "a cat"], [["a dog barks", "dogs"], ["a cat"]], "vocabulary")
    assert report.corpus == {"vocabulary": 3.0, "vocabulary.ratio": 3 / 5}


def test_a_page_of_differences(tmp_path):
    first = score(["a dog", "rain <b>"], [["a dog"], ["rain"]], "rouge_l", ids=["x", "y"])
    second = score(["a cat", "rain"], [["rain"], ["a dog"]][::-1], "rouge_l", ids=["x", "y"])
    page = tmp_path / "page.html"
    write_differences(first, second, page, names=("A & B", "other"))
    text = page.read_text(encoding="utf-8")
    assert text.index("<h2>x") < text.index("<h2>y") and "A &amp; B, rouge_l 1.000" in text
    assert "other, rouge_l 0.500" in text and "<b>" not in text and "<mark>cat</mark>" in text
    with pytest.raises(ValueError, match="no per-clip values of meteor; it has: rouge_l"):
        write_differences(first, second, page, metric="meteor")
    turned = score(["rain", "a cat"], [["rain"], ["a dog"]], "rouge_l", ids=["y", "x"])
    write_differences(first, turned, page, names=("A & B", "other"))
    assert page.read_text(encoding="utf-8") == text
    with pytest.raises(ValueError, match="second has no clip 'y'"):
        write_differences(first, score(["a"], [["a dog"]], "rouge_l", ids=["x"]), page)


def test_import_is_light():
    program = "import sys, earwitness.metrics; from earwitness import score; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
