"""`earwitness index`: captions in, a datastore that `caption --retrieve` searches out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def index(
    captions: Annotated[
        list[Path],
        typer.Option(help="Manifest, CSV, JSON(L) with id and caption, or .txt, one a line; repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the datastore; one that is there is replaced.")],
    embedder: Annotated[str, typer.Option(help="CLAP by hub name or folder.")] = "laion/clap-htsat-unfused",
    sounds: Annotated[
        bool, typer.Option("--sounds", help="Embed the sounds of a table's rows instead of their captions.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Make captions searchable by sound, and recordings by words.

    A store of captions serves models that are shown captions of similar sounds; `earwitness search` looks
    into any. --sounds takes tables that `earwitness caption` wrote.

    Stopped? The same line goes on where it was. The folder counts as a datastore only when it is whole.

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
        typer.echo(f"{lost} could not be heard and were left out.", err=True)
        raise typer.Exit(1)


def read_rows(path: Path) -> list[tuple[str, str]]:
    """(id of the clip, caption) of each caption of a file. Lines of a text file are clips of their own; rows
    of a table of captions are stretches of recordings.

    Raises ValueError for a file without captions, OSError for none.
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
    """(path and time, caption) of each row of a table of captions. Raises ValueError, OSError."""
    from earwitness.retrieval.search import clip_id
    from earwitness.tables import read_rows as read_table

    if not (rows := [(clip_id(row), row["caption"]) for row in read_table(path)]):
        raise ValueError(f"{path} holds no captions")
    return rows


def _build(rows: list[tuple[str, str]], out: Path, embedder: str, sounds: bool, device: str) -> int:
    """Writes the store; returns how many rows it holds."""
    from tqdm import tqdm

    from earwitness.devices import resolve_device
    from earwitness.retrieval import CaptionDatastore, ClapEmbedder
    from earwitness.retrieval.search import store_of_sounds

    kept = out / "embedded"
    if out.exists() and not (kept.is_dir() or (out / "store.json").is_file() or not any(out.iterdir())):
        raise ValueError(f"{out} holds something else than a datastore: name another folder")
    local = Path(embedder).is_dir()
    if not local:
        typer.echo(f"{embedder} is fetched from the hub, unless it was before.", err=True)
    clap = ClapEmbedder(Path(embedder).resolve() if local else embedder, device=resolve_device(device))
    names, texts = zip(*rows)
    build = store_of_sounds if sounds else CaptionDatastore.build
    with tqdm(total=len(rows), unit=" rows", desc="Embedding") as bar:
        store = build(texts, names, clap, kept=kept, progress=bar.update)
    store.save(out)
    shutil.rmtree(kept)
    return len(store)
