"""`earwitness gap`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error
from earwitness.prefetch import BATCH_SIZE


def gap(
    model: Annotated[str, typer.Option(help="A checkpoint folder or hub name.")],
    data: Annotated[Path, typer.Option(help="A manifest with captions.")],
    out: Annotated[Path, typer.Option(help="Folder of the results and plots.")],
    count: Annotated[
        int, typer.Option(min=2, help="Number of clips, from the start of the manifest.")
    ] = 1000,
    plans: Annotated[int, typer.Option(min=0, help="Clips whose transport plan is plotted.")] = 8,
    batch_size: Annotated[int, typer.Option(min=1)] = BATCH_SIZE,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
) -> None:
    """Measure a model's modality gap between audio and captions: L2, cosine, UMAP, transport plans.

    \b
    earwitness gap --model runs/lamb/model --data audiocaps/test.jsonl --out lamb-gap
    """
    from itertools import islice

    from tqdm import tqdm

    from earwitness.analysis.modality_gap import embed_pairs, write_gap
    from earwitness.checkpoints.folder import load_checkpoint
    from earwitness.data.manifest import Manifest
    from earwitness.devices import resolve_device

    with exit_on_error(ValueError, OSError, ImportError):
        rows = list(islice((row for row in Manifest.open(data) if row.captions), count))
        if len(rows) < 2:
            raise ValueError(f"{data} has {len(rows)} rows with captions; at least two are needed")
        loaded = load_checkpoint(model).to(resolve_device(device))
        embedded = embed_pairs(loaded, tqdm(rows, unit="clip"), batch_size=batch_size, plans=plans)
        for written in write_gap(embedded, out):
            typer.echo(str(written))
