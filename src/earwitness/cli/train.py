"""`earwitness train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earwitness.cli.errors import exit_on_error, fail

if TYPE_CHECKING:
    from earwitness.config.preset import Preset


def train(
    recipe: Annotated[str, typer.Argument(help="A preset's name (`earwitness presets`) or a recipe file.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.path=value; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; an interrupted run there resumes.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Train every stage on this manifest; a part is held out.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="With --data: a manifest to hold out instead of a part.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0: one per core.")] = 0,
    check: Annotated[
        bool, typer.Option("--check", help="Check recipe, data and weights; print their requirements; stop.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Like --check, and time three steps of every stage.")
    ] = False,
) -> None:
    """Train a captioner.

    \b
    earwitness train finetune --data recordings/manifest.jsonl --out runs/mine
    earwitness train mini stages.0.data.bank=BANK            # train the built-in model on your bank
    earwitness train lamb --check                            # check recipe and data before queueing a job
    earwitness train lamb only=[pretrain] --out runs/lamb
    earwitness train lamb only=[finetune] init=runs/lamb --out runs/lamb-audiocaps
    torchrun --nproc-per-node 8 -m earwitness.cli.train lamb
    """
    from earwitness.config.errors import ConfigError
    from earwitness.config.preset import load_preset

    folder = out or Path("runs") / Path(recipe).stem
    with exit_on_error(ConfigError):
        preset = load_preset(recipe, [*_data(data, validation, folder), *(overrides or [])])
    _run(preset, folder, threads=threads, check=check, dry_run=dry_run)


def _run(preset: Preset, folder: Path, *, threads: int, check: bool, dry_run: bool) -> None:
    """Train; imports torch, which takes seconds, only now."""
    import torch

    from earwitness.config.errors import ConfigError
    from earwitness.training.callbacks import DiskFullError, Stopped, WorkerLostError
    from earwitness.training.forecast import forecast
    from earwitness.training.run import train
    from earwitness.weights.errors import CheckpointError

    if threads:
        torch.set_num_threads(threads)
    try:
        if check or dry_run:
            for line in forecast(preset, folder, dry_run=dry_run):
                typer.echo(line)
            typer.echo("No faults found in recipe and data")
            return
        train(preset, folder)
    except (ConfigError, CheckpointError, DiskFullError, WorkerLostError) as error:
        raise fail(error) from None
    except Stopped as stop:
        typer.echo(f"{stop}; repeat the command to resume", err=True)
        raise typer.Exit(143) from None  # the status of a process ended by SIGTERM
    typer.echo(f"The model is in {folder / 'model'}")


def _data(data: Path | None, validation: Path | None, out: Path) -> list[str]:
    """Return overrides that set the manifests of --data and --validation. Raises ConfigError."""
    from earwitness.config.errors import ConfigError
    from earwitness.data.manifest import ManifestError
    from earwitness.data.split import split_manifest

    if data is None:
        if validation is not None:
            raise ConfigError("--validation needs --data; a recipe names its own manifests")
        return []
    try:
        train = data
        if validation is None:
            train, validation = split_manifest(data, out)
    except ManifestError as error:
        raise ConfigError(f"--data: {error}; `earwitness data folder` writes one") from None
    except ValueError as error:
        raise ConfigError(f"--data: {error}") from None
    return [
        f"stages.*.data.{part}={json.dumps([str(path)])}"
        for part, path in (("train", train), ("validation", validation))
    ]


if __name__ == "__main__":
    typer.run(train)
