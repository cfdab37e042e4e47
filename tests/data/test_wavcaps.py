"""WavCaps: four JSON sources, blacklists and forbidden ids."""

from __future__ import annotations

import json

import pytest

from earwitness.data.clips import DataError
from earwitness.data.wavcaps import read_ids, read_wavcaps

ENTRIES = {
    "AudioSet_SL/as_final.json": [
        {"id": f"Y{id_}.wav", "caption": f"Sound {id_}.", "audio": "wav_path", "duration": 10.0}
        for id_ in ("b0RFKhbpFJA", "vfY_TJq7n_U", "-2EUv4Nvvx0")
    ],
    "BBC_Sound_Effects/bbc_final.json": [
        {
            "description": "Rip saw.",
            "category": "['Machines']",
            "caption": "Someone is sawing.",
            "id": "07066104",
        }
        | {"duration": 138.36, "audio": "wav_path", "download_link": "https://x/07066104.wav.zip"}
    ],
    "FreeSound/fsd_final.json": [
        {"id": id_, "file_name": "UK Mello.wav", "href": "/people/x/", "tags": ["ringtone", "basic"]}
        | {
            "description": "d",
            "author": "x",
            "duration": 3.2,
            "download_link": "https://x",
            "audio": "wav_path",
        }
        | {"caption": f"A ringtone {id_} plays."}
        for id_ in ("180913", "2219", "17")
    ],
    "SoundBible/sb_final.json": [
        {"title": "Airplane", "description": "d", "author": "x", "href": "2219-Airplane.html"}
        | {"caption": "An airplane is landing.", "id": "2219", "duration": 14.1, "audio": "wav_path"}
    ],
}
BLACKLIST = {"AudioSet": ["YvfY_TJq7n_U.wav"], "FreeSound": ["180913.wav"]}
UNPACKED = "Zip_files/{0}/mnt/fast/nobackup/scratch4weeks/xm00178/WavCaps/data/waveforms/{0}_flac"


@pytest.fixture
def tree(tmp_path, write_clip):
    for name, entries in ENTRIES.items():
        file = tmp_path / "json_files" / name
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"num_captions_per_audio": 1, "data": entries}), encoding="utf-8")
        source = name.partition("/")[0]
        for entry in entries:
            write_clip(tmp_path / UNPACKED.format(source) / f"{entry['id'].removesuffix('.wav')}.flac")
    blacklist = tmp_path / "json_files" / "blacklist" / "blacklist_exclude_all_ac.json"
    blacklist.parent.mkdir()
    blacklist.write_text(json.dumps(BLACKLIST), encoding="utf-8")
    return tmp_path


def ids(found):
    return {row.id for row in found.splits["train"]}


ALL = {"b0RFKhbpFJA", "vfY_TJq7n_U", "-2EUv4Nvvx0", "BBC_Sound_Effects_07066104", "SoundBible_2219"}
ALL |= {"FreeSound_180913", "FreeSound_2219", "FreeSound_17"}


def test_rows_of_four_sources(tree):
    found = read_wavcaps(tree)
    assert ids(found) == ALL and not found.missing["train"]
    rows = {row.id: row for row in found.splits["train"]}
    assert rows["FreeSound_2219"].captions == ("A ringtone 2219 plays.",)
    assert rows["FreeSound_2219"].labels == ("ringtone", "basic")
    assert rows["SoundBible_2219"].audio.endswith("SoundBible_flac/2219.flac")
    assert rows["b0RFKhbpFJA"].audio.endswith("AudioSet_SL_flac/Yb0RFKhbpFJA.flac")


def test_a_blacklist_excludes_by_id(tree):
    found = read_wavcaps(tree, blacklists=["all_ac"])
    assert ids(found) == ALL - {"vfY_TJq7n_U", "FreeSound_180913"}
    assert found.left_out == {
        "AudioSet_SL: id in blacklist_exclude_all_ac.json": 1,
        "FreeSound: id in blacklist_exclude_all_ac.json": 1,
    }


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("17\n2219\n\n", {"FreeSound_17", "FreeSound_2219"}),
        ("sound_id\n17\n", {"FreeSound_17"}),
        ("file_name,keywords,sound_id\na.wav,x;y,2219\nb.wav,z,Not found\n", {"FreeSound_2219"}),
        ("audiocap_id,youtube_id,start_time,caption\n1,-2EUv4Nvvx0,30,x\n", {"-2EUv4Nvvx0"}),
    ],
)
def test_forbidden_ids_from_a_list_and_from_other_sets_tables(tree, text, lost):
    (tree / "forbidden.csv").write_text(text, encoding="latin-1")
    assert ids(read_wavcaps(tree, forbidden=[tree / "forbidden.csv"])) == ALL - lost


def test_a_list_of_something_else_is_refused(tree):
    (tree / "list.txt").write_text("17\nhttps://freesound.org/s/18\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"'https://freesound\.org/s/18' is no Freesound id"):
        read_ids(tree / "list.txt")


def test_an_id_of_a_source_without_clips_is_missing_not_another_sources(tree):
    for clip in (tree / UNPACKED.format("FreeSound")).iterdir():
        clip.unlink()
    assert read_wavcaps(tree).missing["train"] == ["FreeSound/180913", "FreeSound/2219", "FreeSound/17"]


def test_one_source_alone_and_entries_without_caption(tree):
    bad = [{"id": "1"}, {"caption": "x"}, {"id": "2219", "caption": "An airplane is landing."}]
    (tree / "json_files" / "SoundBible" / "sb_final.json").write_text(json.dumps(bad), encoding="utf-8")
    for source in ("AudioSet_SL/as", "BBC_Sound_Effects/bbc", "FreeSound/fsd"):
        (tree / "json_files" / f"{source}_final.json").unlink()
    found = read_wavcaps(tree)
    assert ids(found) == {"SoundBible_2219"}
    assert found.left_out == {"sb_final.json: no id or no caption": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is no JSON"), ('{"data": 3}', "holds no list of entries"), ("[1]", "no list")],
)
def test_damaged_json_is_named(tree, text, message):
    (tree / "json_files" / "SoundBible" / "sb_final.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"sb_final\.json.* {message}"):
        read_wavcaps(tree)


def test_other_trees_are_refused(tree):
    with pytest.raises(DataError, match=r"blacklist_exclude_all\.json cannot be read"):
        read_wavcaps(tree, blacklists=["all"])
    with pytest.raises(DataError, match="holds no json_files/SOURCE"):
        read_wavcaps(tree / "Zip_files")


def test_the_published_blacklist_is_applied_where_it_is_found(tree, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from earwitness.cli import app

    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data", "wavcaps", str(tree), "--out", "with"])
    assert "id in blacklist_exclude_all_ac.json" in result.output and "no blacklist" not in result.output
    result = CliRunner().invoke(
        app, ["data", "wavcaps", str(tree), "--out", "without", "--blacklist", "none"]
    )
    assert "Warning: no blacklist is applied" in result.output
    counts = [len((tmp_path / name / "train.jsonl").read_text().splitlines()) for name in ("with", "without")]
    assert counts[0] == counts[1] - 2
