"""AudioCaps' tables and the names under which people keep its clips."""

from __future__ import annotations

import shlex

import pytest

from earwitness.data.audiocaps import download_commands, read_audiocaps
from earwitness.data.clips import DataError

HEADER = "audiocap_id,youtube_id,start_time,caption\n"
TRAIN = (
    HEADER
    + "91139,r1nicOVtvkQ,130,A woman talks nearby as water pours\n"
    + '58146,UQY1_Tkf6As,30,"Multiple clanging, and clanking sounds"\n'
    + "11542,-AheI8Epim4,0,A man is speaking\n"
)
TEST = HEADER + "".join(
    f"{100 + i},{id_},{start},caption {i % 5} of {id_}\n"
    for i, (id_, start) in enumerate([("7fmOlUlwoNg", 20)] * 5 + [("6BJ455B1aAs", 0)] * 5)
)
NAMES = [
    "r1nicOVtvkQ.wav",
    "Yr1nicOVtvkQ.flac",
    "r1nicOVtvkQ_130.wav",
    "r1nicOVtvkQ_130_140.ogg",
    "Yr1nicOVtvkQ_130.mp3",
    "r1nicOVtvkQ_130000_140000.flac",
    "r1nicOVtvkQ_000130.wav",
    "91139_r1nicOVtvkQ.wav",
    "91139.wav",
]


@pytest.fixture
def tree(tmp_path, write_clip):
    """The tables of `dataset` in the repository, and a folder of clips as they were downloaded."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "train.csv").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "dataset" / "test.csv").write_text(TEST, encoding="utf-8")
    for name in ("train/UQY1_Tkf6As.wav", "train/-AheI8Epim4.flac", "test/Y7fmOlUlwoNg.wav"):
        write_clip(tmp_path / "clips" / name)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_is_found_under_every_name_in_use(tree, write_clip, name):
    clip = write_clip(tree / "clips" / "train" / name)
    row = read_audiocaps(tree / "dataset", tree / "clips").splits["train"][0]
    assert (row.id, row.audio) == ("r1nicOVtvkQ", str(clip))


def test_captions_of_a_clip_are_grouped_and_missing_clips_named(tree):
    found = read_audiocaps(tree / "dataset", tree / "clips")
    assert set(found.splits) == {"train", "test"}
    assert [row.id for row in found.splits["train"]] == ["UQY1_Tkf6As", "-AheI8Epim4"]
    assert found.splits["train"][0].captions == ("Multiple clanging, and clanking sounds",)
    (row,) = found.splits["test"]
    assert row.captions == tuple(f"caption {i} of 7fmOlUlwoNg" for i in range(5))
    assert found.missing == {"train": ["r1nicOVtvkQ_130"], "test": ["6BJ455B1aAs_0"]}


def test_version_2_has_several_captions_in_training(tree):
    more = TRAIN + "99999,UQY1_Tkf6As,30,Metal clatters\n"
    (tree / "dataset" / "train.csv").write_text(more, encoding="utf-8")
    found = read_audiocaps(tree / "dataset", tree / "clips")
    assert found.splits["train"][0].captions == ("Multiple clanging, and clanking sounds", "Metal clatters")


def test_a_clip_of_another_split_does_not_stand_in(tree, write_clip):
    write_clip(tree / "clips" / "test" / "r1nicOVtvkQ.wav")
    assert read_audiocaps(tree / "dataset", tree / "clips").missing["train"] == ["r1nicOVtvkQ_130"]


def test_a_video_beside_the_sound_is_the_rows_video(tree):
    video = tree / "clips" / "train" / "UQY1_Tkf6As.mp4"
    video.write_bytes(b"")
    row = read_audiocaps(tree / "dataset", tree / "clips").splits["train"][0]
    assert row.audio.endswith("UQY1_Tkf6As.wav") and row.video == str(video)
    video.with_suffix(".wav").unlink()
    row = read_audiocaps(tree / "dataset", tree / "clips").splits["train"][0]
    assert row.audio == row.video == str(video)


def test_the_commands_name_clip_seconds_and_place(tree):
    missing = {"train": ["r1nicOVtvkQ_130"], "test": ["-BJ455B1aA__0"]}
    first, second = download_commands(missing, tree / "my clips, 50%")
    words = shlex.split(first)
    assert words[0] == "yt-dlp" and words[-1] == "https://www.youtube.com/watch?v=r1nicOVtvkQ"
    assert words[words.index("--download-sections") + 1] == "*130-140"
    assert words[words.index("--output") + 1] == f"{tree}/my clips, 50%%/train/r1nicOVtvkQ_130.%(ext)s"
    assert shlex.split(second)[-1] == "https://www.youtube.com/watch?v=-BJ455B1aA_"


def test_rows_that_name_no_clip_are_counted(tree):
    bad = TRAIN + "1,$(rm -rf ~),30,x\n2,UQY1_Tkf6As,soon,x\n3,../../../etc,0,x\n"
    (tree / "dataset" / "train.csv").write_text(bad, encoding="utf-8")
    found = read_audiocaps(tree / "dataset", tree / "clips")
    assert found.left_out == {"train.csv: rows without a YouTube id and a start": 3}


def test_other_trees_are_refused_by_name(tree):
    with pytest.raises(DataError, match=r"holds none of train\.csv, val\.csv, test\.csv"):
        read_audiocaps(tree / "clips")
    with pytest.raises(DataError, match="there is no folder"):
        read_audiocaps(tree / "dataset", tree / "nowhere")
    (tree / "dataset" / "train.csv").write_text("id,caption\n1,x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.csv has no column audiocap_id, youtube_id, start_time"):
        read_audiocaps(tree / "dataset", tree / "clips")
    (tree / "dataset2.0").mkdir()
    (tree / "dataset2.0" / "train.csv").write_text(TRAIN, encoding="utf-8")
    with pytest.raises(DataError, match=r"dataset/train\.csv and .*dataset2\.0/train\.csv"):
        read_audiocaps(tree)
