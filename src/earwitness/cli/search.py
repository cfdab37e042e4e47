"""`earwitness search`: words in; path, time and caption of what answers them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earwitness.cli.errors import exit_on_error

if TYPE_CHECKING:
    from earwitness.retrieval.search import Found


def search(
    query: Annotated[str, typer.Argument(help="What to look for, in words.")],
    where: Annotated[
        Path,
        typer.Option("--in", help="Table that `earwitness caption` wrote, or store (`earwitness index`)."),
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="The most to print.")] = 10,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="Search a table by meaning, whether or not it holds the words.")
    ] = False,
    device: Annotated[str, typer.Option(help="For a store: auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Find sounds by words: a line each with score, path, time and caption, the best first.

    A table is searched by the words of its captions and tags (BM25); where none holds them, or with
    --meaning, by what its captions mean, in the joint space of the built-in model: "motorbike" finds
    "a motorcycle revs". A store is searched by meaning, with the model that it was made with: among
    captions, or, made with --sounds, among the sounds themselves. If nothing is found the exit status is 1.

    \b
    earwitness caption recordings -r --out captions.jsonl
    earwitness search "dog barking far away" --in captions.jsonl
    earwitness index --captions captions.jsonl --sounds --out STORE
    earwitness search "dog barking far away" --in STORE
    """
    from earwitness.cli.output import clock, printable
    from earwitness.devices import resolve_device
    from earwitness.retrieval import CaptionDatastore
    from earwitness.retrieval.search import search_store, search_table

    with exit_on_error():
        if where.is_dir():
            found = search_store(query, CaptionDatastore.load(where, device=resolve_device(device)), count)
        else:
            found = [] if meaning else search_table(query, where, count)
            found = found or _by_meaning(query, where, count, device, asked=meaning)
    for each in found:
        known = each.start is not None and each.end is not None
        time = f"{clock(each.start)}–{clock(each.end)}" if known else ""  # type: ignore[arg-type]
        typer.echo(f"{each.score:.3f}\t{printable(each.path)}\t{time}\t{printable(each.caption)}")
    if not found:
        typer.echo(f"Nothing in {where} answers {query!r}.", err=True)
        raise typer.Exit(1)


def _by_meaning(query: str, table: Path, count: int, device: str, *, asked: bool) -> list[Found]:
    """What the built-in model finds near in meaning; says how to search by meaning where it cannot."""
    from earwitness.loading import load_model
    from earwitness.retrieval.search import search_meaning

    model = load_model(device=device)
    try:
        model.embed_texts([query])
    except ValueError:
        how = f"earwitness index --captions {table} --out STORE, then earwitness search --in STORE"
        typer.echo(f"No caption holds these words. To search by meaning: {how}", err=True)
        return []
    found = search_meaning(query, table, count, model.embed_texts)
    if found and not asked:
        typer.echo("No caption holds these words; the nearest in meaning:", err=True)
    return found
