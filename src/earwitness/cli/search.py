"""`earwitness search`: words in; path, time and caption of what answers them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def search(
    query: Annotated[str, typer.Argument(help="What to look for, in words.")],
    where: Annotated[
        Path,
        typer.Option("--in", help="Table that `earwitness caption` wrote, or store (`earwitness index`)."),
    ],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="The most to print.")] = 10,
    device: Annotated[str, typer.Option(help="For a store: auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Find sounds by words: a line each with score, path, time and caption, the best first.

    A table is searched by the words of its captions and tags (BM25). A store is searched by meaning, with
    the model that it was made with: among captions, or, made with --sounds, among the sounds themselves.
    If nothing is found the exit status is 1.

    \b
    earwitness caption recordings -r --out captions.jsonl
    earwitness search "dog barking far away" --in captions.jsonl
    earwitness index --captions captions.jsonl --sounds --out STORE
    earwitness search "dog barking far away" --in STORE
    """
    from earwitness.cli.output import clock
    from earwitness.devices import resolve_device
    from earwitness.retrieval import CaptionDatastore
    from earwitness.retrieval.search import search_store, search_table

    with exit_on_error():
        if where.is_dir():
            found = search_store(query, CaptionDatastore.load(where, device=resolve_device(device)), count)
        else:
            found = search_table(query, where, count)
    for each in found:
        known = each.start is not None and each.end is not None
        time = f"{clock(each.start)}–{clock(each.end)}" if known else ""  # type: ignore[arg-type]
        typer.echo(f"{each.score:.3f}\t{each.path}\t{time}\t{each.caption}")
    if not found:
        typer.echo(f"Nothing in {where} answers {query!r}.", err=True)
        raise typer.Exit(1)
