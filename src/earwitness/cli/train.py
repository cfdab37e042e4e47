"""`earwitness train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import fail


def train(
    recipe: Annotated[str, typer.Argument(help="A preset's name (`earwitness presets`) or a recipe file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.path=value, as many as you like.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; a run that was stopped there goes on.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: as many as there are cores.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Look at recipe and data, then stop.")] = False,
) -> None:
    """Train a captioner.

    \b
    earwitness train mini stages.0.data.bank=BANK            # the embedded default, from your bank
    earwitness train lamb --check                            # is all there? before a job is queued
    earwitness train lamb only=[pretrain] --out runs/lamb
    earwitness train lamb only=[finetune] init=runs/lamb --out runs/lamb-audiocaps
    torchrun --nproc-per-node 8 -m earwitness.cli.train lamb
    """
    import torch

    from earwitness.config.errors import ConfigError
    from earwitness.config.preset import load_preset
    from earwitness.training.callbacks import DiskFullError, Stopped, WorkerLostError
    from earwitness.training.preflight import look
    from earwitness.training.run import train as run
    from earwitness.weights.copying import CheckpointError

    if threads:
        torch.set_num_threads(threads)
    folder = out or Path("runs") / Path(recipe).stem
    try:
        preset = load_preset(recipe, overrides)
        if check:
            look(preset, folder)
            typer.echo("Nothing is wrong with recipe and data")
            return
        run(preset, folder)
    except (ConfigError, CheckpointError, DiskFullError, WorkerLostError) as error:
        raise fail(error) from None
    except Stopped as stop:
        typer.echo(f"{stop}; the same command goes on from there", err=True)
        raise typer.Exit(143) from None  # as a process that SIGTERM ended
    typer.echo(f"The model is in {folder / 'model'}")


if __name__ == "__main__":
    typer.run(train)
