"""The model card that a run writes: data with licences, recipe, figures, limits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from earwitness.build import towers
from earwitness.built_in import local_folder
from earwitness.checkpoints.folder import CARD, resolve
from earwitness.config.preset import Preset
from earwitness.config.start import RUN_MODEL
from earwitness.model import AudioCaptioningModel
from earwitness.scenes.recordings import credits
from earwitness.training.inputs.label_data import LabelSource
from earwitness.training.inputs.mixture_data import MixtureSource
from earwitness.training.inputs.scene_data import SceneSource
from earwitness.training.inputs.stage_data import ClipSource

LICENCE = re.compile(r"---\n(?:(?!---).*\n)*?license: *(.+)\n")  # in the front matter of a card
LIMITS = """Captions are lower-case sentences about sound events; they do not transcribe speech. The score is
the model's own probability per token; it is lower where the model is unsure, and it is not a promise."""
COMPOSED = "Recordings of held-out groups, composed after held-out captions."
BLENDED = """For a stage with `blend` these are the figures of its end; its weights are between those and its
initial ones."""
COMPOSED_LIMITS = """
Its training recordings are few: rare sounds are named as similar common ones."""


def model_card(
    preset: Preset, model: AudioCaptioningModel, sources: list[Any], reached: dict[str, Any]
) -> str:
    """Markdown with the hub's front matter. sources: the opened data of the stages."""
    parameters = sum(p.numel() for p in model.parameters())
    banks = [s.bank for s in sources if isinstance(s, SceneSource | MixtureSource | LabelSource)]
    bank = {r.path: r for b in banks for r in b.recordings}
    recipe = preset.model_dump(exclude={"sources": True, "model": {"encoder": {"tags"}}})
    cards = {start.source: start_card(start.source) for start in preset.starts}
    lines = [
        *front_matter(model, cards),
        "",
        f"# {preset.description}",
        "",
        f"{parameters / 1e6:.1f} million parameters.",
        "",
        "## Reached on validation data",
        *([COMPOSED] if bank else []),
        *([BLENDED] if any(stage.blend < 1 for stage in preset.stages) else []),
        "```json",
        json.dumps(reached, indent=1),
        "```",
        "",
        "## Data",
    ]
    texts = dict.fromkeys(p for s in preset.stages for p in getattr(s.data, "captions", []))
    lines += [f"- {source}" for source in preset.sources]
    if texts:
        lines += ["", "Caption files: " + ", ".join(f"`{path.rsplit('/', 1)[-1]}`" for path in texts)]
    if bank:
        lines += ["", "| recordings from | licence | count |", "|---|---|---|"]
        lines += [f"| {source} | {licence} | {count} |" for source, licence, count in credits(bank.values())]
    clips = [source for source in sources if isinstance(source, ClipSource)]
    if clips:
        lines += ["", "| captioned set | for | clips | hours |", "|---|---|---|---|"]
        lines += dict.fromkeys(line for source in clips for line in source.table())
    lines += started_data(cards)
    lines += [
        "",
        "## Limits",
        LIMITS + (COMPOSED_LIMITS if bank else ""),
        "",
        "## Recipe",
        "```yaml",
        yaml.safe_dump(recipe, sort_keys=False).rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def start_card(source: str) -> str:
    """The model card of what training started from; "" where it has none."""
    folder = local_folder(source)
    folder = resolve(source) if folder is None else folder
    for place in (folder, folder / RUN_MODEL, folder.parent / RUN_MODEL):
        if (place / CARD).is_file():
            return (place / CARD).read_text("utf-8")
    return ""


def started_data(cards: dict[str, str]) -> Iterator[str]:
    """What the cards of the models that training started from say of their data."""
    for source, card in cards.items():
        yield from ("", f"### Data of {source}, from which training started", "", data_section(card))


def data_section(card: str) -> str:
    """What a card says under "## Data": whom the data are by, and under which terms."""
    found = re.search(r"^## Data\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else "Its card does not name them."


def front_matter(model: AudioCaptioningModel, cards: dict[str, str]) -> list[str]:
    """With the models that this one is made from, and the licence that the card of the first names."""
    borrowed = (t.source for t in towers(model.config).values() if t.source and t.tune != "full")
    bases = list(dict.fromkeys([*cards, *borrowed]))
    licences = [match[1].strip() for card in cards.values() if (match := LICENCE.match(card))]
    lines = ["base_model:", *(f"  - {base}" for base in bases)] if bases else []
    lines += [f"license: {licence}" for licence in licences[:1]]
    tags = ["library_name: earwitness", "pipeline_tag: audio-to-text", "tags: [audio-captioning]"]
    return ["---", *tags, *lines, "---"]
