"""`earwitness data`: convert published sets and folders of clips to manifests, and manifests to shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earwitness.cli.errors import exit_on_error

if TYPE_CHECKING:
    from earwitness.data.clips import Found

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Prepare published sets and folders of clips for training.",
)

Folder = Annotated[Path, typer.Argument(help="Folder of the set, as published.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write; default: the set's name.")]
Clips = Annotated[Path | None, typer.Option(help="Folder of the clips, if elsewhere.")]
Shortest = Annotated[float, typer.Option(min=0.01, help="Skip clips shorter than this, s.")]
Longest = Annotated[float, typer.Option(help="Skip clips longer than this, s.")]
Decode = Annotated[bool, typer.Option("--decode", help="Decode every clip in full: slow, finds damage.")]
Against = Annotated[
    list[Path] | None, typer.Option(help="A manifest whose clips must not occur; repeatable.")
]


@app.command()
def audiocaps(
    folder: Folder,
    out: Out = None,
    clips: Clips = None,
    commands: Annotated[
        Path | None, typer.Option(help="Write yt-dlp commands that download missing clips.")
    ] = None,
    shortest: Shortest = 0.01,
    longest: Longest = float("inf"),
    decode: Decode = False,
    against: Against = None,
) -> None:
    """AudioCaps 1 or 2: train.csv, val.csv, test.csv and clips in any format.

    \b
    earwitness data audiocaps audiocaps/dataset --clips clips
    earwitness data audiocaps audiocaps/dataset2.0 --clips clips --commands fetch.sh
    """
    from earwitness.data.audiocaps import download_commands, read_audiocaps

    with exit_on_error():
        found = read_audiocaps(folder, clips)
        if commands is not None:
            lines = download_commands(found.missing, clips or folder)
            commands.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        _finish(found, out or Path("audiocaps"), shortest, longest, decode, against)


@app.command()
def clotho(
    folder: Folder,
    out: Out = None,
    clips: Clips = None,
    shortest: Shortest = 0.01,
    longest: Longest = float("inf"),
    decode: Decode = False,
    against: Against = None,
) -> None:
    """Clotho 1 to 2.1: clotho_captions_SPLIT.csv and the folders of the splits.

    \b
    earwitness data clotho clotho_v2.1
    """
    from earwitness.data.clotho import read_clotho

    with exit_on_error():
        _finish(read_clotho(folder, clips), out or Path("clotho"), shortest, longest, decode, against)


@app.command()
def wavcaps(
    folder: Folder,
    out: Out = None,
    clips: Clips = None,
    blacklist: Annotated[
        list[str] | None,
        typer.Option(
            help="Published blacklist: all_ac, test_ac, ub8k_esc50_vggsound, or none; repeatable.",
            show_default="all_ac, where it is found",
        ),
    ] = None,
    forbid: Annotated[
        list[Path] | None,
        typer.Option(help="Freesound ids, one per line, or a CSV with sound_id or youtube_id; repeatable."),
    ] = None,
    shortest: Shortest = 0.01,
    longest: Longest = float("inf"),
    decode: Decode = False,
    against: Against = None,
) -> None:
    """WavCaps: json_files/ of the four sources, and the unpacked FLAC files.

    WavCaps contains recordings of AudioCaps and Clotho: the published blacklist of both is applied if it is
    found, and a warning is printed otherwise.

    \b
    earwitness data wavcaps WavCaps --blacklist all_ac
    earwitness data wavcaps WavCaps --forbid excluded_freesound_ids.csv --forbid audiocaps/test.csv
    """
    from earwitness.data.wavcaps import found_blacklists, read_wavcaps

    with exit_on_error():
        lists = [name for name in blacklist or found_blacklists(folder) if name != "none"]
        if not lists:
            typer.echo(
                "Warning: no blacklist is applied, so test recordings of AudioCaps and Clotho may be among "
                "these: put the set's blacklist/ beside its json files, or name test sets with --against",
                err=True,
            )
        found = read_wavcaps(folder, clips, blacklists=lists, forbidden=forbid or ())
        _finish(found, out or Path("wavcaps"), shortest, longest, decode, against)


@app.command()
def macs(
    folder: Folder,
    out: Out = None,
    clips: Clips = None,
    min_competence: Annotated[
        float, typer.Option(min=0, max=1, help="Skip sentences of less competent annotators.")
    ] = 0.0,
    shortest: Shortest = 0.01,
    longest: Longest = float("inf"),
    decode: Decode = False,
    against: Against = None,
) -> None:
    """MACS: MACS.yaml, MACS_competence.csv and TAU Urban Acoustic Scenes 2019.

    \b
    earwitness data macs MACS --clips TAU-urban-acoustic-scenes-2019-development/audio
    """
    from earwitness.data.macs import read_macs

    with exit_on_error():
        found = read_macs(folder, clips, min_competence=min_competence)
        _finish(found, out or Path("macs"), shortest, longest, decode, against)


@app.command()
def folder(
    folder: Annotated[Path, typer.Argument(help="Clips and a table, Parquet files, or a saved dataset.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write; default: the folder itself.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Table of captions, if there are several or it is elsewhere.")
    ] = None,
    shortest: Shortest = 0.01,
    longest: Longest = float("inf"),
    decode: Decode = False,
    against: Against = None,
) -> None:
    """A folder of clips with a table of captions, or a Hugging Face dataset that holds the audio.

    \b
    earwitness data folder recordings               columns file_name,caption
    earwitness data folder parquet -o prepared      writes the audio to prepared/audio
    """
    from earwitness.data.folder import read_folder
    from earwitness.data.hugging_face import is_hugging_face, read_hugging_face

    with exit_on_error():
        target = out or folder
        stored = csv is None and is_hugging_face(folder)
        found = read_hugging_face(folder, target) if stored else read_folder(folder, csv)
        _finish(found, target, shortest, longest, decode, against)


@app.command()
def shard(
    manifest: Annotated[Path, typer.Argument(help="manifest.jsonl of the clips.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; existing shards are kept.")],
    rows: Annotated[int, typer.Option(min=1, help="Clips per shard.")] = 2000,
    encode: Annotated[
        str | None, typer.Option(help="flac or opus at 16 kHz; default: copy the files.")
    ] = None,
    shuffle: Annotated[bool, typer.Option(help="Assign clips to shards in random order.")] = True,
    seed: Annotated[int, typer.Option(help="Of that order.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Shards written in parallel.")] = 2,
) -> None:
    """WebDataset shards of a manifest, for training from a cluster's file system or an object store.

    An interrupted run resumes with the same command.

    \b
    earwitness data shard audiocaps/train.jsonl -o shards/audiocaps --encode opus --workers 16
    """
    from earwitness.data.manifest import Manifest
    from earwitness.data.shard_writing import ENCODERS, Sharding, write_shards

    with exit_on_error():
        if encode is not None and encode not in ENCODERS:
            raise ValueError(f"--encode {encode}: choose {' or '.join(ENCODERS)}")
        plan = Sharding(rows, encode, seed if shuffle else None)
        shards = write_shards(Manifest.open(manifest), out, plan, workers)
        left_out = [reason for shard in shards for reason in shard.left_out]
        typer.echo(f"{sum(s.rows for s in shards)} clips in {len(shards)} shards in {out}")
        for reason in left_out:
            typer.echo(f"skipped: {reason}", err=True)
    if left_out:
        raise typer.Exit(1)


def _finish(
    found: Found, out: Path, shortest: float, longest: float, decode: bool, against: list[Path] | None
) -> None:
    """Inspect the clips; write manifests and report."""
    from earwitness.data.manifest import Manifest
    from earwitness.data.report import Bounds, examine, write

    others = {str(path): Manifest.open(path) for path in against or ()}
    report = examine(found, Bounds(shortest, longest), decode=decode, against=others)
    write(report, out)
    for line in report.lines():
        typer.echo(line)
    names = ", ".join(f"{name}.jsonl" for name in report.splits)
    typer.echo(f"{out}: {names}, report.json")
    if empty := [name for name, split in report.splits.items() if not split.rows]:
        raise ValueError(f"no clip of {', '.join(empty)} was found: set their folder with --clips")
