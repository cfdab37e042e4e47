"""`earwitness train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[str, typer.Argument(help="A preset's name (`earwitness presets`) or a recipe file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.path=value, as many as you like.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; a run that was stopped there goes on.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: as many as there are cores.")] = 0,
) -> None:
    """Train a captioner.

    \b
    earwitness train mini stages.0.data.bank=BANK            # the embedded default, from your bank
    earwitness train my.yaml stages.1.batch_size=8 --out runs/try2
    """
    import torch

    from earwitness.config import ConfigError, load_preset
    from earwitness.training.run import train as run

    if threads:
        torch.set_num_threads(threads)
    try:
        preset = load_preset(recipe, overrides)
        folder = out or Path("runs") / Path(recipe).stem
        run(preset, folder)
    except ConfigError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"The model is in {folder / 'model'}")


if __name__ == "__main__":
    typer.run(train)
