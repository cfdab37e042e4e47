"""`earwitness search`: find recordings by text; print path, time and caption of the results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earwitness.cli.errors import exit_on_error

if TYPE_CHECKING:
    from earwitness.retrieval.search import Found


def search(
    query: Annotated[str, typer.Argument(help="Text to search for.")],
    where: Annotated[
        Path,
        typer.Option("--in", help="Table of `earwitness caption`, or datastore of `earwitness index`."),
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Maximum number of results.")] = 10,
    meaning: Annotated[
        bool, typer.Option("--meaning", help="Search a table by meaning, even if the words occur.")
    ] = False,
    device: Annotated[str, typer.Option(help="For a store: auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Search recordings by text: print score, path, time and caption, the best first.

    A table is searched by the words of its captions and tags (BM25); if none matches, or with --meaning, by
    embeddings of its captions in the joint space of the built-in model: "motorbike" finds "a motorcycle
    revs". A datastore is searched by the embeddings of its captions or, built with --sounds, of its audio. If
    nothing is found the exit status is 1.

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
        typer.echo(f"No results for {query!r} in {where}.", err=True)
        raise typer.Exit(1)


def _by_meaning(query: str, table: Path, count: int, device: str, *, asked: bool) -> list[Found]:
    """Search by the built-in model's embeddings; if it is not available, print how to search by meaning."""
    from earwitness.loading import load_model
    from earwitness.retrieval.search import search_meaning

    model = load_model(device=device)
    try:
        model.embed_texts([query])
    except ValueError:
        how = f"earwitness index --captions {table} --out STORE, then earwitness search --in STORE"
        typer.echo(f"No caption contains these words. To search by meaning: {how}", err=True)
        return []
    found = search_meaning(query, table, count, model.embed_texts)
    if found and not asked:
        typer.echo("No caption contains these words; the nearest in meaning:", err=True)
    return found
