"""The scene-graph score, the approximate parser, and the official program's runner with a stand-in for it."""

from __future__ import annotations

import json
import stat

import pytest

from earwitness.metrics.corpus import Corpus
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.spice import official as module
from earwitness.metrics.spice.graph import SynonymJudge, f1, graph
from earwitness.metrics.spice.parser import parse


@pytest.mark.parametrize(
    ("caption", "tuples"),
    [
        ("a loud dog barks", {("dog",), ("dog", "loud"), ("dog", "bark")}),
        ("two men are speaking", {("man",), ("man", "2"), ("man", "speak")}),
        ("birds chirp in the background", {("bird",), ("background",), ("bird", "chirp in", "background")}),
        ("a train blows its horn", {("train",), ("horn",), ("train", "blow", "horn")}),
        ("a man speaking", {("speaking",), ("speaking", "man")}),
        ("a group of people talk", {("group",), ("people",), ("group", "of", "people"), ("group", "talk")}),
        ("a man and woman speak", {("man",), ("woman",), ("man", "speak"), ("woman", "speak")}),
        ("an engine revs then a man talks", {("engine",), ("engine", "rev"), ("man",), ("man", "talk")}),
        ("rain falls and thunder roars", {("rain",), ("rain", "fall"), ("thunder",), ("thunder", "roar")}),
        ("a bee buzzes around and a dog barks", {("bee",), ("bee", "buzz"), ("dog",), ("dog", "bark")}),
        ("a man burps speaks and burps", {("man",), ("man", "burp"), ("man", "speak")}),
        (
            "an engine idles followed by a beep",
            {("engine",), ("engine", "idle"), ("beep",), ("engine", "follow by", "beep")},
        ),
        ("", set()),
    ],
)
def test_parse(caption, tuples):
    assert set(parse(caption.split())) == tuples


def test_parse_takes_any_words_in_time():
    words = "a the dog barks is and of in very two then it 's -lrb- zzz loudly barking".split()
    for first in words:
        for second in words:
            parse([first, second, first])
    assert len(parse(["dog", "barks", "and"] * 20_000)) < 10


def test_score_by_hand(meteor_data):
    judge = SynonymJudge(meteor_data)
    own = graph([("car",), ("car", "fast")], judge)
    other = graph([("automobile",), ("automobile", "quick"), ("road",)], judge)
    # car = automobile and fast = quick by synonym sets: P = 2/2, R = 2/3.
    assert f1(own, other) == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert f1(own, []) == 0.0
    assert f1(own, graph([("fast",), ("zzz", "fast")], judge)) == 0.0


def test_references_merge_into_one_graph(meteor_data):
    judge = SynonymJudge(meteor_data)
    assert len(graph([("car",), ("automobile",), ("car", "fast"), ("automobile", "fast")], judge)) == 2


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A folder that looks like SPICE's, and a java that writes every word as an object."""
    home = tmp_path / "spice"
    (home / "lib").mkdir(parents=True)
    for name in ("spice-1.0.jar", "lib/stanford-corenlp-3.6.0.jar", "lib/stanford-corenlp-3.6.0-models.jar"):
        (home / name).write_bytes(b"")
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        "if '-version' in sys.argv:\n    print('openjdk version \"1.8.0_392\"', file=sys.stderr)\n"
        "    sys.exit()\n"
        "rows = json.load(open(sys.argv[sys.argv.index('-jar') + 2]))\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(f'{{len(rows)}}\\n')\n"
        "tuples = lambda r: [{'tuple': [w]} for w in r['test'].split()]\n"
        "out = [{'image_id': r['image_id'], 'test_tuples': tuples(r)} for r in rows]\n"
        "json.dump(out, open(sys.argv[sys.argv.index('-out') + 1], 'w'))\n",
        encoding="utf-8",
    )
    java.chmod(java.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{java.parent}:{__import__('os').environ['PATH']}")
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")
    return home


def test_each_caption_is_parsed_once(stand_in, tmp_path, meteor_data):
    corpus = Corpus(["dog", "dog", "cat rain"], [["dog", "cat"], ["dog"], ["cat"]])
    found = module.spice(corpus, stand_in)
    assert found.clips == [pytest.approx(2 / 3), 1.0, pytest.approx(2 / 3)]
    assert module.spice(corpus, stand_in).clips == found.clips
    assert (tmp_path / "calls").read_text() == "3\n"  # dog, cat rain, cat; nothing the second time
    (shelf,) = list((tmp_path / "cache" / "spice-tuples").glob("*.json"))[:1]
    shelf.write_text("{ damaged")
    assert module.spice(corpus, stand_in).clips == found.clips


def test_what_is_missing_is_said(stand_in, monkeypatch):
    with pytest.raises(MissingData, match="--spice-home"):
        module.find_home(None)
    (stand_in / "lib" / "stanford-corenlp-3.6.0-models.jar").unlink()
    with pytest.raises(MissingData, match=r"lacks lib/stanford-corenlp-3\.6\.0-models\.jar"):
        module.find_home(stand_in)
    (stand_in / "lib" / "stanford-corenlp-3.6.0-models.jar").write_bytes(b"")
    monkeypatch.setattr(module, "java_version", lambda: 17)
    with pytest.raises(MissingData, match="this is Java 17"):
        module.find_home(stand_in)
    monkeypatch.setattr(module, "java_version", lambda: None)
    with pytest.raises(MissingData, match="no java is found"):
        module.find_home(stand_in)


def test_a_failing_program_does_not_crash_the_report(stand_in, tmp_path):
    (tmp_path / "bin" / "java").write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo \'version "11.0.1"\' && exit\necho boom >&2\nexit 3\n'
    )
    with pytest.raises(MissingData, match="status 3: boom"):
        module.run_parser(["a dog"], stand_in)
    assert json.loads("[]") == []
