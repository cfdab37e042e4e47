"""A captioner with the parts that a command's options add; faulty options are refused before loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

Retrieve = Annotated[
    Path | None, typer.Option(help="Datastore of captions; those of similar clips join the prompt.")
]
Rerank = Annotated[
    bool, typer.Option("--rerank", help="Choose the beam that CLAP scores nearest to the audio.")
]
Correct = Annotated[bool, typer.Option("--correct", help="Rewrite captions that an error detector flags.")]
CorrectorModel = Annotated[
    str | None,
    typer.Option("--corrector", help="Instruction-tuned language model; default: the config's."),
]
Detector = Annotated[
    str | None,
    typer.Option("--detector", help="File of FENSE's error detector; default: the config's."),
]


def load_captioner(
    model: str | None, device: str, dtype: str, *, runtime: Any = "auto", **parts: Any
) -> Captioner:
    """parts: fields of `captioner_parts.Parts`.

    Raises ConfigError for one that the model cannot use, MissingExtra where torch is needed and missing.
    """
    from rich.console import Console

    with Console(stderr=True).status("Loading the model"):
        if any(parts.values()):
            from earwitness.extras import require

            require("torch", "--frames, --retrieve, --rerank and --correct")
            from earwitness.captioner_parts import Parts
            from earwitness.captioner_parts import load_captioner as load

            return load(model, device, dtype, Parts(**parts), runtime)
        from earwitness.captioner import Captioner
        from earwitness.devices import keep_freed_memory, resolve_device

        keep_freed_memory()
        return Captioner.from_pretrained(model, device=resolve_device(device), dtype=dtype, runtime=runtime)
