"""`earwitness retrieve`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def retrieve(
    data: Annotated[Path, typer.Option(help="A manifest.")],
    store: Annotated[Path, typer.Option(help="A datastore of captions (`earwitness index`).")],
    out: Annotated[Path, typer.Option(help="Manifest to write, with the retrieved captions.")],
    count: Annotated[int, typer.Option(min=1, help="Captions per clip, without its own.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Retrieve captions of similar clips for each clip of a manifest, for training (DistillCaps).

    An interrupted run resumes with the same command. Clips that cannot be decoded are reported at the end.

    \b
    earwitness index --captions audiocaps/train.jsonl --out store
    earwitness retrieve --data audiocaps/train.jsonl --store store --out audiocaps/train-retrieved.jsonl
    """
    from tqdm import tqdm

    from earwitness.data.manifest import Manifest
    from earwitness.devices import resolve_device
    from earwitness.retrieval import CaptionDatastore
    from earwitness.training.inputs.retrieved import write_retrieved

    with exit_on_error():
        manifest = Manifest.open(data)
        found = CaptionDatastore.load(store, device=resolve_device(device))
        bar = partial(tqdm, unit="clip", desc="Searching")
        faults = write_retrieved(manifest, found, count, out, bar)
    typer.echo(f"{len(manifest)} clips in {out}")
    if faults:
        typer.echo(f"{len(faults)} clips could not be decoded and have no retrieved captions:", err=True)
        typer.echo("\n".join(f"  {fault}" for fault in faults), err=True)
        raise typer.Exit(1)
