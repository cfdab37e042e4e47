"""Recordings that two sets share, under the names that each gives them."""

from __future__ import annotations

import json

import pytest

from earwitness.data.manifest import ManifestError
from earwitness.data.overlap import clip_keys, keys_of_test


@pytest.mark.parametrize(
    "one, other",
    [
        ("r1nicOVtvkQ", "Yr1nicOVtvkQ.wav"),
        ("r1nicOVtvkQ", "r1nicOVtvkQ_30000_40000"),
        ("-AheI8Epim4", "Y-AheI8Epim4_30.flac"),
        ("Wind chimes at night", "Wind chimes at night.wav"),
        ("FreeSound_12345", "freesound_12345.flac"),
        ("clip7", "clip7"),
    ],
)
def test_one_recording_under_two_names(one: str, other: str) -> None:
    assert clip_keys(one) & clip_keys(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("r1nicOVtvkQ", "s1nicOVtvkQ"),
        ("FreeSound_12345", "12345"),
        ("clip1", "clip10"),
        ("Wind chimes", "Wind chimes at night"),
    ],
)
def test_two_recordings(one: str, other: str) -> None:
    assert not clip_keys(one) & clip_keys(other)


def test_keys_of_manifests_and_tables(tmp_path) -> None:
    rows = [{"id": "Yr1nicOVtvkQ.wav", "audio": "a.wav", "captions": []}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "meta.csv").write_text("file_name,sound_id\nWind.wav,12345\n")
    (tmp_path / "odd.csv").write_text("name\nWind\n")
    assert "youtube:r1nicOVtvkQ" in keys_of_test(str(tmp_path / "t.jsonl"))
    assert keys_of_test(str(tmp_path / "meta.csv")) & clip_keys("FreeSound_12345")
    for name, message in (("odd.csv", "is no Freesound id"), ("none.csv", "no such file")):
        with pytest.raises(ManifestError, match=message):
            keys_of_test(str(tmp_path / name))
