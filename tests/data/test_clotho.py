"""Clotho as its archives unpack."""

from __future__ import annotations

import unicodedata

import pytest

from earwitness.data.clips import DataError
from earwitness.data.clotho import read_clotho

HEADER = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
METADATA = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
FILES = {
    "development": ["Distorted AM Radio noise.wav", "Paper_Parchment_Rustling.wav"],
    "validation": ["01 barreras blancas.wav"],
    "evaluation": ["Santa Motor.wav", "Paper_Parchment_Rustling.wav"],
}


@pytest.fixture
def tree(tmp_path, write_clip):
    for split, names in FILES.items():
        rows = "".join(f'{n},"A, in {split}",B.,C,D,E\n' for n in names)
        (tmp_path / f"clotho_captions_{split}.csv").write_text(HEADER + rows, encoding="utf-8")
        tags = "".join(
            f'{n},é;noise,123,https://freesound.org/people/x,"[0, 9]",x,http://creativecommons.org\n'
            for n in names
        )
        (tmp_path / f"clotho_metadata_{split}.csv").write_text(METADATA + tags, encoding="latin-1")
        for name in names:
            write_clip(tmp_path / split / name)
    return tmp_path


def test_all_splits_with_five_captions_and_keywords(tree):
    found = read_clotho(tree)
    assert {split: [r.id for r in rows] for split, rows in found.splits.items()} == FILES
    row = found.splits["development"][0]
    assert row.captions == ("A, in development", "B.", "C", "D", "E") and row.labels == ("é", "noise")
    assert row.audio == str(tree / "development" / FILES["development"][0])
    assert not any(found.missing.values())


def test_version_1_has_no_validation_and_folders_may_be_nested(tree):
    (tree / "clotho_captions_validation.csv").unlink()
    (tree / "clotho_audio_files").mkdir()
    for split in ("development", "evaluation"):
        (tree / split).rename(tree / "clotho_audio_files" / split)
    found = read_clotho(tree)
    assert set(found.splits) == {"development", "evaluation"} and not any(found.missing.values())


def test_a_name_of_two_splits_is_two_clips(tree):
    name = "Paper_Parchment_Rustling.wav"
    (tree / "evaluation" / name).unlink()
    found = read_clotho(tree)
    assert found.missing["evaluation"] == [name] and not found.missing["development"]


def test_other_formats_and_other_spellings_of_an_accent(tree, write_clip):
    name = "Café ambience.wav"
    with (tree / "clotho_captions_development.csv").open("a", encoding="utf-8") as file:
        file.write(f"{unicodedata.normalize('NFC', name)},A,B,C,D,E\n")
    clip = write_clip(tree / "development" / unicodedata.normalize("NFD", name.replace(".wav", ".flac")))
    assert read_clotho(tree).splits["development"][2].audio == str(clip)


def test_the_challenges_splits_have_no_captions(tree, write_clip):
    clip = write_clip(tree / "test" / "a.wav")
    (row,) = read_clotho(tree).splits["test"]
    assert (row.id, row.audio, row.captions) == ("a.wav", str(clip), ())


def test_other_trees_are_refused(tree):
    (tree / "clotho_captions_evaluation.csv").write_text("file_name,caption\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column caption_1, caption_2, caption_3, caption_4, caption_5"):
        read_clotho(tree)
    with pytest.raises(DataError, match=r"holds no clotho_captions_development\.csv"):
        read_clotho(tree / "development")
