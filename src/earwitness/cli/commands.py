"""Commands by name: a command's module is imported when the command runs, not to list commands."""

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
    "caption": "Caption audio and video.",
    "search": "Search recordings by text: print score, path, time and caption, the best first.",
    "presets": "List the presets, or print one with its comments, which give the source of every value.",
    "score": "Score captions against references, without Java or network access.",
    "evaluate": "Caption a split and score it.",
    "compare": "Compare finished evaluations: differences from the first, with paired tests over the clips.",
    "study": "Reproduce a paper's tables: train and test each row, print it beside the published figures.",
    "train": "Train a captioner.",
    "data": "Prepare published sets and folders of clips for training.",
    "scenes": "Compose captioned clips from a bank of labelled recordings: FLAC files and manifest.jsonl.",
    "export": "Export a trained model: for ONNX Runtime, merged, as PEFT adapters, or to the hub.",
    "serve": "Serve captions over HTTP, with a page for the browser.",
    "gap": "Measure a model's modality gap between audio and captions: L2, cosine, UMAP, transport plans.",
    "retrieve": "Retrieve captions of similar clips for each clip of a manifest, for training (DistillCaps).",
    "index": "Build a datastore of captions or recordings for search and retrieval.",
}


class LoadedCommands(Mapping[str, Any]):
    """Map a command's name to the command, imported on access."""

    def __getitem__(self, name: str) -> Any:
        if name not in SUMMARIES:
            raise KeyError(name)
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)


class Commands(TyperGroup):
    """The group of all commands. A missing module of an extra is reported with the extra's name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = LoadedCommands()
        self._listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List commands from their summaries, without imports."""
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
