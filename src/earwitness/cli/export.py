"""`earwitness export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def export(
    model: Annotated[str, typer.Option(help="A checkpoint folder or hub name.")],
    merged: Annotated[Path | None, typer.Option(help="Write a checkpoint with LoRA merged here.")] = None,
    peft: Annotated[Path | None, typer.Option(help="Write LoRA as PEFT adapters here.")] = None,
    push: Annotated[str | None, typer.Option(help="Upload the checkpoint to this hub repository.")] = None,
    private: Annotated[bool, typer.Option(help="With --push: a private repository.")] = False,
) -> None:
    """Give a trained model away: merged, as PEFT adapters, or on the hub.

    \b
    earwitness export --model runs/lamb/model --merged lamb-merged
    earwitness export --model runs/lamb/model --push someone/lamb
    """
    from earwitness.checkpoints.export import push_to_hub, save_merged, save_peft
    from earwitness.checkpoints.folder import load_checkpoint

    if not (merged or peft or push):
        raise typer.BadParameter("say what to make: --merged, --peft or --push")
    with exit_on_error():
        loaded = load_checkpoint(model)
        if push:
            typer.echo(push_to_hub(loaded, push, private=private))
        if peft:
            typer.echo("\n".join(map(str, save_peft(loaded, peft))))
        if merged:
            save_merged(loaded, merged)
            typer.echo(str(merged))
