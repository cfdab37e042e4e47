"""Rows of two files are matched by id: in one way, or the files are refused with what to do."""

from __future__ import annotations

import pytest

from earwitness.metrics.files.scoring import read_captions, read_pair, score_files


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


HEADER = "audiocap_id,youtube_id,start_time,caption"
OWN = "id,caption\nx,a dog\ny,rain\n"


def test_the_id_column_that_matches_is_found(write):
    own = write("own.csv", "id,path,caption\n0,x,a dog\n1,y,rain\n")
    other = write("refs.csv", "id,file_name,caption\n17,y.wav,rain falls\n18,x.wav,the dog\n")
    found = read_pair(own, other)
    assert found.ids == ["x", "y"] and found.references == [["the dog"], ["rain falls"]]
    assert found.notes == ["ids are compared without endings such as .wav"]


def test_two_ways_to_match_are_refused(write):
    own = write("own.csv", "id,file_name,caption\n0,x.wav,a dog\n1,y.wav,rain\n")
    other = write("refs.csv", "id,file_name,caption\n0,y.wav,rain falls\n1,x.wav,the dog\n")
    with pytest.raises(ValueError, match="match by id and, differently, by file_name: .* --id-column"):
        read_pair(own, other)
    found = read_pair(own, other, id_column="File Name")
    assert dict(zip(found.ids, found.references, strict=True)) == {
        "x.wav": [["the dog"]][0],
        "y.wav": ["rain falls"],
    }


def test_names_of_two_folders_stay_two_clips(write):
    own = write("own.csv", "path,caption\na/x.wav,a dog\nb/x.wav,rain\n")
    assert read_pair(
        own, write("refs.csv", "path,caption\nb/x.wav,rain falls\na/x.wav,the dog\n")
    ).references == [
        ["the dog"],
        ["rain falls"],
    ]
    with pytest.raises(ValueError, match="no id of .* is in .*--id-column"):
        read_pair(own, write("refs.csv", "path,caption\nx.wav,rain falls\ny.wav,the dog\n"))


def test_only_endings_of_media_are_left_out_of_ids(write):
    own = write("own.csv", "id,caption\n1.25,a dog\n1.5,rain\n")
    other = write("refs.csv", "id,caption\n1.25,a dog\n1.7,rain\n")
    with pytest.raises(ValueError, match="1 candidates have no reference in .*'1.5'"):
        read_pair(own, other)


def test_segments_are_told_apart_by_their_start(write):
    other = write("refs.csv", f"{HEADER}\n1,x,0,a dog\n2,x,30,rain\n3,y,0,wind\n")
    own = write("own.csv", "youtube_id,start_time,caption\nx,30.0,it rains\ny,0,wind\nx,0.0,dog\n")
    found = read_pair(own, other)
    assert found.ids == ["x@30", "y@0", "x@0"] and found.references == [["rain"], ["wind"], ["a dog"]]
    own = write("own.csv", "youtube_id,caption\nx,it rains\ny,wind\n")
    with pytest.raises(ValueError, match="several segments of 'x', .* needs a column start as well"):
        read_pair(own, other)
    one = write("refs.csv", f"{HEADER}\n1,x,30,a dog\n2,x,30,rain\n3,y,0,wind\n")
    assert read_pair(own, one).references == [["a dog", "rain"], ["wind"]]  # no start is needed


def test_partial_scores_what_is_there(write):
    own = write("own.csv", OWN)
    other = write("refs.csv", "id,caption\nx,the dog\ny,rain falls\nz,wind\n")
    with pytest.raises(ValueError, match="1 clips of .* have no candidate.*'z'; --partial scores the 2"):
        score_files(own, other, "rouge_l")
    report = score_files(own, other, "rouge_l", partial=True)
    assert report.ids == ["x", "y"] and report.signature.endswith("|partial:2/3")
    assert any("1 clips of" in note and "'z'" in note for note in report.notes)
    assert "partial" not in score_files(own, write("two.csv", "id,caption\nx,a\ny,b\n"), "rouge_l").signature


def test_empty_references_are_counted(write):
    other = write("refs.csv", 'id,caption_1,caption_2\nx,the dog," "\ny,,rain falls\n')
    found = read_pair(write("own.csv", OWN), other)
    assert found.references == [["the dog"], ["rain falls"]]
    assert any("2 empty references are left out" in note for note in found.notes)
    none = write("none.csv", "id,caption\nx,the dog\ny,\n")
    with pytest.raises(ValueError, match="1 clips of .* have only empty references: 'y'"):
        read_pair(write("own.csv", OWN), none)
    empty = read_pair(write("own.csv", "id,caption\nx,\ny,rain\n"), other)
    assert empty.candidates == [[""], ["rain"]] and any("1 candidates are empty" in n for n in empty.notes)


def test_rows_that_repeat(write):
    own = write("own.csv", "id,caption\nx,a dog\ny,rain\nx,a dog\n")
    wide = "id,caption_1,caption_2\nx,a dog,dogs\ny,rain,it rains\n"
    found = read_pair(own, write("refs.csv", wide + "x,a dog,dogs\n"))
    assert found.candidates == [["a dog"], ["rain"]] and found.references[0] == ["a dog", "dogs"]
    assert any("1 rows repeat" in note for note in found.notes)
    # two people may have written the same words
    assert read_captions(write("long.csv", "id,caption\nx,a dog\nx,a dog\n")) == {"x": ["a dog", "a dog"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,a dog\ny,rain\n", "no column with an id; it has x, a_dog; .*is there a header"),
        ("id,caption\nx,a dog\n,rain\n", "line 3: no value in the column id"),
        ("id,caption,caption\nx,a,b\n", "duplicate column 'caption'"),
        ("id,caption\nx,a dog\ny\n", "line 3: no caption in caption"),
        ('id,caption\nx,"a dog\ny,rain\n', "line 3: unexpected end of data; write a quote"),
        ('id,caption\nx,"a dog" barks\n', "line 2: .* write a quote inside a caption twice"),
    ],
)
def test_rows_that_are_refused(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_pair(write("own.csv", text), write("refs.csv", OWN))


def test_swapped_files_are_noticed(write):
    refs = write("refs.csv", "id,caption\nx,a dog\nx,dogs\ny,rain\n")
    with pytest.raises(ValueError, match="several captions for 1 ids .*are candidates and ref"):
        score_files(refs, write("own.csv", OWN), "rouge_l")


def test_columns_can_be_named(write):
    own, other = (
        write("own.csv", "key;said\nx;a dog\ny;rain\n"),
        write("refs.csv", "key;human\nx;a dog\ny;rain\n"),
    )
    found = read_pair(own, other, id_column="key", caption_column="said", reference_columns=["human"])
    assert found.ids == ["x", "y"]
    with pytest.raises(ValueError, match="no column spoken; it has key, said"):
        read_pair(own, other, id_column="key", caption_column="spoken", reference_columns=["human"])
    with pytest.raises(ValueError, match="neither .* has a column nummer"):
        read_pair(write("a.csv", OWN), write("b.csv", OWN), id_column="nummer")
