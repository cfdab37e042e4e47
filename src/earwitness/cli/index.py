"""`earwitness index`: build a datastore of captions for `caption --retrieve` and `search`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def index(
    captions: Annotated[
        list[Path],
        typer.Option(help="Manifest, CSV, JSON(L) with id and caption, or .txt, one per line; repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the datastore; an existing one is replaced.")],
    embedder: Annotated[str, typer.Option(help="CLAP by hub name or folder.")] = "laion/clap-htsat-unfused",
    sounds: Annotated[
        bool, typer.Option("--sounds", help="Embed the audio of a table's rows instead of their captions.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Build a datastore of captions or recordings for search and retrieval.

    A datastore of captions serves models with retrieval; `earwitness search` searches any datastore. --sounds
    takes tables of `earwitness caption`.

    An interrupted run resumes with the same command. The folder is a datastore only when complete.

    \b
    earwitness index --captions audiocaps/train.jsonl --out STORE
    earwitness index --captions clotho.csv --captions mine.txt --out STORE --embedder /models/clap
    earwitness caption dog.wav --model MODEL --retrieve STORE
    earwitness index --captions captions.jsonl --sounds --out STORE
    """
    with exit_on_error():
        read = table_rows if sounds else read_rows
        rows = [row for path in captions for row in read(path)]
        lost = len(rows) - _build(rows, out, embedder, sounds, device)
    what, clips = "sounds" if sounds else "captions", {name for name, _ in rows}
    typer.echo(f"{len(rows) - lost} {what} of {len(clips) - lost} clips in {out}")
    if lost:
        typer.echo(f"{lost} clips could not be decoded; they were skipped.", err=True)
        raise typer.Exit(1)


def read_rows(path: Path) -> list[tuple[str, str]]:
    """Return (id of the clip, caption) of each caption of a file.

    Lines of a text file are separate clips; rows of a table of captions are segments of recordings. Raises
    ValueError for a file without captions, OSError for a missing file.
    """
    from earwitness.metrics.files.scoring import read_captions
    from earwitness.tables import is_table

    if is_table(path):
        return table_rows(path)
    if path.suffix.lower() != ".txt":
        rows = [(name, text) for name, texts in read_captions(path).items() for text in texts]
    else:
        lines = enumerate(path.read_text("utf-8").splitlines(), 1)
        rows = [(f"{path.name}:{number}", line) for number, line in lines]
    rows = [(name, " ".join(text.split())) for name, text in rows if text.strip()]
    if not rows:
        raise ValueError(f"{path} holds no captions")
    return rows


def table_rows(path: Path) -> list[tuple[str, str]]:
    """Return (path and time, caption) of each row of a table of captions. Raises ValueError, OSError."""
    from earwitness.retrieval.search import clip_id
    from earwitness.tables import read_rows as read_table

    if not (rows := [(clip_id(row), row["caption"]) for row in read_table(path)]):
        raise ValueError(f"{path} holds no captions")
    return rows


def _build(rows: list[tuple[str, str]], out: Path, embedder: str, sounds: bool, device: str) -> int:
    """Write the datastore; return its number of rows."""
    from tqdm import tqdm

    from earwitness.devices import resolve_device
    from earwitness.retrieval import CaptionDatastore, ClapEmbedder
    from earwitness.retrieval.search import store_of_sounds

    kept = out / "embedded"
    if out.exists() and not (kept.is_dir() or (out / "store.json").is_file() or not any(out.iterdir())):
        raise ValueError(f"{out} is not a datastore: choose another folder")
    local = Path(embedder).is_dir()
    if not local:
        typer.echo(f"{embedder} is downloaded from the hub unless it is cached.", err=True)
    clap = ClapEmbedder(Path(embedder).resolve() if local else embedder, device=resolve_device(device))
    names, texts = zip(*rows)
    build = store_of_sounds if sounds else CaptionDatastore.build
    with tqdm(total=len(rows), unit=" rows", desc="Embedding") as bar:
        store = build(texts, names, clap, kept=kept, progress=bar.update)
    store.save(out)
    shutil.rmtree(kept)
    return len(store)
