"""Files of captions as people have them: each is read for what it says, or refused with what to do."""

from __future__ import annotations

import json

import pytest

from earwitness.metrics.files.cells import captions_in
from earwitness.metrics.files.scoring import read_captions, read_pair, score_files

WIDE = "file_name,caption_predicted,caption_1,caption_2,caption_3,caption_4,caption_5"
PAIRS = {"x": (["a dog barks"], ["the dog barks", "barking"]), "y": (["rain"], ["rain falls"])}


@pytest.fixture
def write(tmp_path):
    def write(name, content, encoding="utf-8"):
        path = tmp_path / name
        if not isinstance(content, (str, bytes)):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def pairs(*files, **options):
    found = read_pair(*files, **options)
    return {
        name: (own, other)
        for name, own, other in zip(found.ids, found.candidates, found.references, strict=True)
    }


# Numbers that were wrong without a word


def test_a_prediction_is_no_reference(write):
    file = write("x.csv", f"{WIDE}\nx.wav,a dog,the dog barks,a,b,c,d\ny.wav,rain,rain falls,e,f,g,h\n")
    found = pairs(file, file)
    assert found["x.wav"] == (["a dog"], ["the dog barks", "a", "b", "c", "d"])
    assert read_captions(file)["y.wav"] == ["rain falls", "e", "f", "g", "h"]
    assert score_files(file, file, "bleu_1").corpus["bleu_1"] < 1


@pytest.mark.parametrize("names", [("predictions", "references"), ("candidates", "mult_references")])
def test_columns_of_both_roles_in_json(write, names):
    own, other = ["a dog barks", "rain"], [["the dog barks", "barking"], ["rain falls"]]
    file = write("x.json", dict(zip(names, (own, other), strict=True)))
    assert list(pairs(file, file).values()) == list(PAIRS.values())


def test_one_file_with_both_roles_needs_no_ids(write):
    file = write(
        "x.csv",
        "caption_predicted,caption_1,caption_2\na dog barks,the dog barks,barking\nrain,rain falls,\n",
    )
    assert pairs(file, file) == {
        "1": (["a dog barks"], ["the dog barks", "barking"]),
        "2": (["rain"], ["rain falls"]),
    }
    other = write("y.csv", "caption\na\nb\n")
    with pytest.raises(ValueError, match="no column with an id"):
        read_pair(file, other)


@pytest.mark.parametrize("column", ["caption_id", "caption_index", "caption_length", "caption_source"])
def test_what_only_begins_like_a_caption_is_none(write, column):
    file = write("r.csv", f"id,{column},caption\nx,17,the dog barks\n")
    assert read_captions(file) == {"x": ["the dog barks"]}
    file = write("w.csv", f"id,{column},caption_1\nx,17,the dog barks\n")
    assert read_captions(file) == {"x": ["the dog barks"]}


@pytest.mark.parametrize(
    "row",
    [
        {"id": "x", "prediction": "a dog", "references": ["the dog", "barks"]},
        {"id": "x", "caption": "a dog", "references": ["the dog", "barks"]},
        {"id": "x", "caption": "a dog", "caption_gt": ["the dog", "barks"]},
        {"id": "x", "candidate": "a dog", "caption": ["the dog", "barks"]},
        {"id": "x", "caption_predicted": "a dog", "captions": ["the dog", "barks"]},
        {"id": "x", "candidate": "a dog", "references": ["the dog", "barks"], "rouge_l": 0.4},
    ],
)
def test_the_role_decides_between_columns(write, row):
    file = write("x.jsonl", json.dumps(row) + "\n")
    assert pairs(file, file) == {"x": (["a dog"], ["the dog", "barks"])}


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("id,caption,caption_1,caption_2", "candidates"),
        ("id,caption,caption_1,caption_2", "references"),
        ("id,prediction,candidate,caption", "candidates"),
        ("id,references,caption_1,caption_2", "references"),
    ],
)
def test_two_columns_for_one_role_are_refused(write, header, role):
    file = write("x.csv", f"{header}\nx,a,b,c\n")
    other = write("y.csv", "id,caption\nx,a dog\n")
    files = (file, other) if role == "candidates" else (other, file)
    option = "--caption-column" if role == "candidates" else "--reference-column"
    with pytest.raises(ValueError, match=f"could both hold the {role}: name one with {option}"):
        read_pair(*files)
    named = {"caption_column": "caption"} if role == "candidates" else {"reference_columns": ["caption_1"]}
    assert list(pairs(*files, **named)) == ["x"]


def test_a_file_is_not_scored_against_itself(write):
    for file in (
        write("a.csv", "id,caption\nx,a dog\ny,rain\n"),
        write("b.json", {"x": ["a dog"], "y": ["rain"]}),
    ):
        with pytest.raises(ValueError, match="scored against itself"):
            read_pair(file, file)
    predicted = write("c.csv", "id,prediction\nx,a dog\n")
    with pytest.raises(ValueError, match="no column with references, only prediction, which holds cand"):
        read_captions(predicted)
    with pytest.raises(ValueError, match="no column with candidates, only caption_1, caption_2"):
        read_pair(write("d.csv", "id,caption_1,caption_2\nx,a,b\n"), write("e.csv", "id,caption\nx,a dog\n"))


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("['a dog', 'a bark']", ["a dog", "a bark"]),
        ('["a dog", "a bark"]', ["a dog", "a bark"]),
        ("['a dog', \"a dog's bark\"]", ["a dog", "a dog's bark"]),
        ("('a dog', 'a bark')", ["a dog", "a bark"]),
        (" [ 'a dog' ] ", ["a dog"]),
        ("[]", []),
        ("a dog [barking]", ["a dog [barking]"]),
        ("[dog barking]", ["[dog barking]"]),
        ("(a dog) barks (twice)", ["(a dog) barks (twice)"]),
        ("", [""]),
        (None, []),
        (float("nan"), []),
        ([{"caption": "a dog"}, {"caption": "a bark", "id": 3}], ["a dog", "a bark"]),
        ({"raw": "a dog", "tokens": ["a", "dog"]}, ["a dog"]),
    ],
)
def test_cells(cell, texts):
    assert captions_in(cell) == texts


@pytest.mark.parametrize(
    "cell",
    [
        "['a dog' 'a bark']",  # as NumPy prints an array
        "['a dog', 'a bark",
        "['a dog', a bark]",
        "array(['a dog', 'a bark'], dtype=object)",
        "['a dog', 3]",
        "[1, 2]",
        4,
        ["a dog", 3],
        {"words": "a dog"},
    ],
)
def test_cells_that_could_be_misread_are_refused(cell, write):
    if cell == "['a dog', 'a bark":
        assert captions_in(cell) == [cell]  # no bracket closes it: a text
        return
    with pytest.raises(ValueError):
        captions_in(cell)
    file = write("x.json", [{"id": "a", "caption": "fine"}, {"id": "x", "caption": cell}])
    with pytest.raises(ValueError, match=r"row 2: caption holds "):
        read_captions(file)


# Layouts that all mean the same

SAME = {
    "columns.json": {"id": ["x", "x", "y"], "caption": ["the dog barks", "barking", "rain falls"]},
    "frame.json": {
        "file_name": {"0": "x", "1": "y"},
        "captions": {"0": ["the dog barks", "barking"], "1": ["rain falls"]},
    },
    "split.json": {
        "columns": ["id", "caption"],
        "index": [0, 1, 2],
        "data": [["x", "the dog barks"], ["x", "barking"], ["y", "rain falls"]],
    },
    "objects.json": {
        "x": [{"caption": "the dog barks"}, {"caption": "barking"}],
        "y": [{"caption": "rain falls"}],
    },
    "data.json": {
        "data": [{"id": "x", "caption": ["the dog barks", "barking"]}, {"id": "y", "caption": "rain falls"}]
    },
    "coco.json": {
        "images": [{"id": "x"}, {"id": "y"}],
        "annotations": [
            {"id": 1, "image_id": "x", "caption": "the dog barks"},
            {"id": 2, "image_id": "x", "caption": "barking"},
            {"id": 3, "image_id": "y", "caption": "rain falls"},
        ],
    },
    "names.json": {
        "images": [{"id": 7, "file_name": "x.wav"}, {"id": 8, "file_name": "y.wav"}],
        "annotations": [
            {"id": 1, "image_id": 7, "caption": "the dog barks"},
            {"id": 2, "image_id": 7, "caption": "barking"},
            {"id": 3, "image_id": 8, "caption": "rain falls"},
        ],
    },
    "long.csv": "id,caption\nx,the dog barks\ny,rain falls\nx,barking\n",
    "wide.csv": "File Name,caption_1,caption_2\nx.wav,the dog barks,barking\ny.wav,rain falls,\n",
    "semicolons.csv": "ID;Caption\nx;the dog barks\nx;barking\ny;rain falls\n",
    "declared.csv": "sep=;\r\nid;caption\r\nx;the dog barks\r\nx;barking\r\ny;rain falls\r\n",
    "tabs.csv": "id\tcaption\nx\tthe dog barks\nx\tbarking\ny\train falls\n",
    "literal.csv": "fname,captions\nx,\"['the dog barks', 'barking']\"\ny,\"['rain falls']\"\n",
    "empty_rows.csv": "id;caption;\nx;the dog barks;\nx;barking;\n;;\ny;rain falls;\n;;\n",
    "index.csv": ",id,caption\n0,x,the dog barks\n1,x,barking\n2,y,rain falls\n",
    "blanks.csv": "id , caption\n x ,the dog barks\n x,barking\ny ,rain falls\n",
    "paths.csv": "path,caption\n/data/x.flac,the dog barks\n/data/x.flac,barking\n/data/y.flac,rain falls\n",
    "windows.csv": "wav,caption\nC:\\d\\x.wav,the dog barks\nC:\\d\\x.wav,barking\nC:\\d\\y.wav,rain falls\n",
    "manifest.jsonl": '{"id": "x", "audio": "x.wav", "captions": ["the dog barks", "barking"], "by": "me"}\n'
    '{"id": "y", "audio": "s/y.wav", "captions": ["rain falls"]}\n',
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_references_of_every_layout(write, name):
    own = write("own.csv", "id,caption\nx,a dog barks\ny,rain\n")
    assert pairs(own, write(name, SAME[name])) == PAIRS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.json", [{"image_id": "x", "caption": "a dog barks"}, {"image_id": "y", "caption": "rain"}]),
        ("mapping.json", {"x": "a dog barks", "y": ["rain"]}),
        ("twice.csv", "id,caption\nx,a dog barks\ny,rain\nx,a dog barks\n"),
        ("paths.csv", "path,caption\nout/x.wav,a dog barks\nout/y.mp3,rain\n"),
    ],
)
def test_candidates_of_every_layout(write, name, content):
    found = pairs(write(name, content), write("refs.csv", SAME["long.csv"]))
    assert list(found.values()) == list(PAIRS.values())


@pytest.mark.parametrize(
    "column",
    "fname image_id audio_id wav clip_id sound_id FNAME Image_ID youtube_id video_id file-name".split(),
)
def test_usual_names_of_ids_in_any_case(write, column):
    file = write("r.csv", f"{column},caption\nx,the dog barks\nx,barking\ny,rain falls\n")
    assert pairs(write("own.csv", "id,caption\nx,a dog barks\ny,rain\n"), file) == PAIRS


def test_encodings(write):
    text = "id;caption\nx;a café\n"
    for encoding in ("utf-16", "utf-8-sig", "utf-8"):
        assert read_captions(write("x.csv", text, encoding)) == {"x": ["a café"]}
    with pytest.raises(ValueError, match="save it as 'CSV UTF-8'"):
        read_captions(write("x.csv", text, "cp1252"))
    with pytest.raises(ValueError, match="null characters.* save it as 'CSV UTF-8'"):
        read_captions(write("x.csv", text.replace("é", "e"), "utf-16-le"))
    with pytest.raises(ValueError, match="save it as 'CSV UTF-8'"):
        read_captions(write("x.xlsx", b"PK"))


def test_composed_and_decomposed_ids_are_one(write):
    found = pairs(
        write("a.csv", "id,caption\ncafe\u0301,a dog\n"), write("b.csv", "id,caption\ncaf\xe9,a dog\n")
    )
    assert list(found) == ["caf\xe9"]


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\x0b", "\x0c", "\r", "\n", "\r\n"])
def test_a_line_end_inside_a_caption_breaks_no_row(write, mark):
    assert read_captions(write("a.csv", f'id,caption\nx,"a{mark}dog"\ny,rain\n')) == {
        "x": [f"a{mark}dog"],
        "y": ["rain"],
    }
    if mark not in "\r\n":
        assert read_captions(write("b.csv", f"id,caption\nx,a{mark}dog\n")) == {"x": [f"a{mark}dog"]}
    line = json.dumps({"id": "x", "caption": f"a{mark}dog"}, ensure_ascii=False) + "\n"
    assert read_captions(write("c.jsonl", line)) == {"x": [f"a{mark}dog"]}


def test_parquet(write, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"id": [3.0, 4.0], "captions": [["the dog barks", "barking"], ["rain falls"]]})
    parquet.write_table(table, tmp_path / "r.parquet")
    assert read_captions(tmp_path / "r.parquet") == {"3": ["the dog barks", "barking"], "4": ["rain falls"]}
    with pytest.raises(ValueError, match="is not a Parquet file"):
        read_captions(write("x.parquet", b"PAR1"))


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_captions_that_the_package_wrote(write, tmp_path, ending):
    from earwitness.captions import Caption
    from earwitness.tables import row, write_rows

    captions = [
        Caption("a dog barks", 0.5, 0.0, 10.0, (("dog", 0.9),), "s/x.wav"),
        Caption("rain", 0.5, 0.0, 10.0, (), "s/y.wav"),
    ]
    own = tmp_path / f"own{ending}"
    write_rows([row(caption, "mini") for caption in captions], own)
    names = write("refs.csv", SAME["wide.csv"])
    assert list(pairs(own, names).values()) == list(PAIRS.values())
    timeline = [captions[0], Caption("a car", 0.5, 10.0, 20.0, (), "s/x.wav"), captions[1]]
    write_rows([row(caption) for caption in timeline], own)
    with pytest.raises(ValueError, match="2 windows of one file, '.*x.*': .* without --timeline"):
        read_pair(own, names)
    parts = write("parts.csv", "id,start,caption\nx,0,the dog barks\nx,10.0,a car passes\ny,0.0,rain falls\n")
    found = {name.rpartition("@")[2]: texts for name, texts in pairs(own, parts).items() if "x" in name}
    assert found == {"0": (["a dog barks"], ["the dog barks"]), "10": (["a car"], ["a car passes"])}
