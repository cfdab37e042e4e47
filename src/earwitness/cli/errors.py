"""User errors: a message on standard error and exit status 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer


def fail(message: object) -> typer.Exit:
    """Print "Error: message" on standard error; return the exit to raise, with status 2."""
    typer.echo(f"Error: {message}", err=True)
    return typer.Exit(2)


@contextmanager
def exit_on_error(*kinds: type[Exception]) -> Iterator[None]:
    """End the command with the message of an error of these kinds (default: ValueError and OSError)."""
    expected = kinds or (ValueError, OSError)
    try:
        yield
    except expected as error:
        raise fail(error) from None
