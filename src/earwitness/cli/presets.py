"""`earwitness presets`."""

from __future__ import annotations

from typing import Annotated

import typer


def presets(
    name: Annotated[str | None, typer.Argument(help="A preset or a recipe file; none: list them.")] = None,
) -> None:
    """List the presets, or print one with its comments, which say where every value comes from.

    \b
    earwitness presets                             what there is
    earwitness presets mini > mine.yaml            a recipe of your own to start from
    """
    from earwitness.config import ConfigError, list_presets, load_preset, preset_text

    try:
        if name is not None:
            typer.echo(preset_text(name), nl=False)
            return
        for preset in list_presets():
            typer.echo(f"{preset:24} {load_preset(preset).description}")
    except ConfigError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
