"""The commands by name: each one's module is imported when the command is run, not to list them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from earwitness.cli.errors import fail
from earwitness.extras import MissingExtra, explained

# Command -> the first sentence of its help. Its module, of the same name, holds it as a function of that name
# or, with subcommands, as `app`.
SUMMARIES = {
    "caption": "Say in words what is heard in sounds and videos.",
    "search": "Find sounds by words: a line each with score, path, time and caption, the best first.",
    "presets": "List the presets, or print one with its comments, which say where every value comes from.",
    "score": "Score captions against references: no Java, no network, seconds.",
    "evaluate": "Caption a split and score it.",
    "compare": "Set finished evaluations side by side; differences from the first, with paired tests "
    "over the clips.",
    "study": "Reproduce a paper's tables: train each row, test it, print it beside the published figures.",
    "train": "Train a captioner.",
    "data": "Prepare published sets and folders of clips for training.",
    "scenes": "Compose captioned clips from a bank of labelled recordings: FLAC files and manifest.jsonl.",
    "export": "Give a trained model away: for ONNX Runtime, merged, as PEFT adapters, or on the hub.",
    "serve": "Serve captions over HTTP, with a page for the browser.",
    "gap": "How far a model's sounds lie from their captions: L2, cosine, a UMAP picture, transport plans.",
    "retrieve": "Look up captions of similar sounds for every clip of a manifest, to train on (DistillCaps).",
    "index": "Make captions searchable by sound, and recordings by words.",
}


class LoadedCommands(Mapping[str, Any]):
    """Command name -> the command, imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in SUMMARIES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


class Commands(TyperGroup):
    """The group of all commands. A module that an extra would install ends any of them with that advice."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = LoadedCommands()
        self._listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The list of commands needs their summaries alone."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._listing and cmd_name in SUMMARIES:
            return TyperCommand(cmd_name, help=SUMMARIES[cmd_name], rich_markup_mode=None)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            advice = explained(error)
            if not isinstance(advice, MissingExtra):
                raise
            raise fail(advice) from None


@lru_cache
def _load(name: str) -> Any:
    module = import_module(f"earwitness.cli.{name}")
    command: Any
    if hasattr(module, "app"):
        command = get_group(module.app)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(getattr(module, name))
        command = get_command(alone)
    command.name = name
    return command
