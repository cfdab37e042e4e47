"""The command line: `earwitness COMMAND`. One module per command, which imports little before it runs."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from typing import Annotated

import typer

from earwitness.cli.commands import Commands
from earwitness.version import __version__

app = typer.Typer(
    cls=Commands, no_args_is_help=True, pretty_exceptions_show_locals=False, rich_markup_mode=None
)


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
    """Generate English captions for audio and video; train, evaluate and serve captioners.

    \b
    earwitness caption dog.wav                     a caption, its tags, how sure it is
    earwitness caption film.mp4 --srt              sound subtitles beside the film
    earwitness caption recordings/ -r -o all.jsonl a table of a whole folder
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)


def main() -> None:
    """Run a command and exit without releasing loaded libraries, which takes up to seconds."""
    try:
        app()
    except SystemExit as end:
        atexit._run_exitfuncs()  # temporary files, worker processes, logs
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
