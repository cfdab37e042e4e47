"""`earwitness export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def export(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Checkpoint folder or hub name; default: the built-in model.", show_default=False
        ),
    ] = None,
    onnx: Annotated[
        Path | None, typer.Option(help="Write a checkpoint for ONNX Runtime here; torch loads it too.")
    ] = None,
    merged: Annotated[Path | None, typer.Option(help="Write a checkpoint with LoRA merged here.")] = None,
    peft: Annotated[Path | None, typer.Option(help="Write LoRA as PEFT adapters here.")] = None,
    push: Annotated[str | None, typer.Option(help="Upload the checkpoint to this hub repository.")] = None,
    private: Annotated[bool, typer.Option(help="With --push: create a private repository.")] = False,
    named: Annotated[
        str | None, typer.Option("--model", hidden=True, help="MODEL, as other commands.")
    ] = None,
) -> None:
    """Export a trained model: for ONNX Runtime, merged, as PEFT adapters, or to the hub.

    \b
    earwitness export runs/mine/model --onnx mine   runs without torch
    earwitness export runs/lamb/model --merged lamb-merged
    earwitness export runs/lamb/model --push someone/lamb
    """
    from earwitness.loading import DEFAULT

    if not (onnx or merged or peft or push):
        raise typer.BadParameter("name an output: --onnx, --merged, --peft or --push")
    if model and named:
        raise typer.BadParameter("name one model: MODEL and --model are the same")
    name = model or named or str(DEFAULT)
    with exit_on_error():
        if onnx:
            from earwitness.checkpoints.onnx_export import export_onnx

            export_onnx(name, onnx)
            typer.echo(str(onnx))
        if merged or peft or push:
            _give_away(name, merged, peft, push, private)


def _give_away(name: str, merged: Path | None, peft: Path | None, push: str | None, private: bool) -> None:
    from earwitness.checkpoints.export import push_to_hub, save_merged, save_peft
    from earwitness.checkpoints.folder import load_checkpoint

    loaded = load_checkpoint(name)
    if push:
        typer.echo(push_to_hub(loaded, push, private=private))
    if peft:
        typer.echo("\n".join(map(str, save_peft(loaded, peft))))
    if merged:
        save_merged(loaded, merged)
        typer.echo(str(merged))
