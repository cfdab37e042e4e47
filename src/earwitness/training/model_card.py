"""The model card that a run writes: data with licences, recipe, figures, limits."""

from __future__ import annotations

import json
from typing import Any

import yaml

from earwitness.config.preset import Preset
from earwitness.model import AudioCaptioningModel
from earwitness.scenes.bank import credits
from earwitness.training.inputs.scene_data import SceneSource
from earwitness.training.inputs.stage_data import ClipSource

LIMITS = """Captions are lower-case sentences about what is heard; they do not transcribe speech. The score is
the model's own probability per token; it is lower where the model is unsure, and it is not a promise."""
COMPOSED = "Recordings of held-out groups, composed after held-out captions."
BLENDED = """Of a stage with `blend` these are the figures of its end; its weights lie between that and its
beginning."""
COMPOSED_LIMITS = """
The recordings it learnt from are few: rare sounds are named by their nearest common kin."""


def model_card(
    preset: Preset, model: AudioCaptioningModel, sources: list[Any], reached: dict[str, Any]
) -> str:
    """Markdown with the hub's front matter. sources: the opened data of the stages."""
    parameters = sum(p.numel() for p in model.parameters())
    bank = {r.path: r for s in sources if isinstance(s, SceneSource) for r in s.bank.recordings}
    recipe = preset.model_dump(exclude={"sources": True, "model": {"encoder": {"tags"}}})
    lines = [
        "---",
        "library_name: earwitness",
        "pipeline_tag: audio-to-text",
        "tags: [audio-captioning]",
        "---",
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
