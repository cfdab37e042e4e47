"""The command line: `earwitness COMMAND`. One module a command, each light until it is run."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from earwitness.version import __version__

# Command -> the module that holds it, as a function of the same name or, with subcommands, as `app`.
COMMANDS = {
    "caption": "earwitness.cli.caption",
    "search": "earwitness.cli.search",
    "presets": "earwitness.cli.presets",
    "score": "earwitness.cli.score",
    "evaluate": "earwitness.cli.evaluate",
    "train": "earwitness.cli.train",
    "data": "earwitness.cli.data",
    "scenes": "earwitness.cli.scenes",
    "export": "earwitness.cli.export",
    "serve": "earwitness.cli.serve",
    "gap": "earwitness.cli.gap",
    "retrieve": "earwitness.cli.retrieve",
    "index": "earwitness.cli.index",
}

app = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False, rich_markup_mode=None)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"earwitness {__version__}")
        raise typer.Exit


@app.callback()
def earwitness_(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Says in words what it heard: captions sounds and videos; trains and scores audio captioners.

    \b
    earwitness caption dog.wav                     a caption, its tags, how sure it is
    earwitness caption film.mp4 --srt              sound subtitles beside the film
    earwitness caption recordings/ -r -o all.jsonl a table of a whole folder
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


def _mount() -> None:
    for name, module in COMMANDS.items():
        if find_spec(module) is None:
            continue
        found = import_module(module)
        if hasattr(found, "app"):
            app.add_typer(found.app, name=name)
        else:
            app.command(name)(getattr(found, name))


_mount()


def main() -> None:
    """Run a command, and end the process without tearing down what it loaded, which takes seconds."""
    try:
        app()
    except SystemExit as end:
        if "torch" not in sys.modules:
            raise
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
