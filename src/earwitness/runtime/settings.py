"""runtime.json: what an exported checkpoint says of what happens between its graphs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from earwitness.weights.errors import CheckpointError

GRAPHS = ("encode", "adapt", "prefix", "step", "read")
SETTINGS, WEIGHTS, TOKENIZER = "runtime.json", "model.safetensors", "tokenizer.json"
FILES = (SETTINGS, WEIGHTS, TOKENIZER, *(f"{graph}.onnx" for graph in GRAPHS))


class ExportError(CheckpointError):
    """A model that cannot be exported, or a folder that cannot be used as an exported one."""


@dataclass(frozen=True)
class Settings:
    """What the path between the graphs needs.

    layout: of the weights that the graphs refer into (weights.layout). front_end: in spectrogram.FRONT_ENDS.
    audio_tokens: N_g. The others are those of the model's config and of its tokenizer.
    """

    layout: str
    front_end: str
    sample_rate: int
    max_seconds: float
    tags: list[str]
    prompt: str
    audio_tokens: int
    beams: int
    length_penalty: float
    max_new_tokens: int
    no_repeat_ngram: int
    repetition: float
    tag_guide: float
    order_guide: bool
    alignment: float
    calibration: dict[str, float] | None
    joint_space: bool
    vocabulary_size: int
    bos_id: int | None
    eos_id: int
    unknown_id: int | None
    special_ids: list[int]

    def write(self, folder: Path) -> None:
        (folder / SETTINGS).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Raises ExportError for a folder that is not exported, or by another version."""
        if missing := [name for name in FILES if not (folder / name).is_file()]:
            raise ExportError(f"{folder} is not exported for ONNX Runtime: it has no {', '.join(missing)}")
        try:
            found = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ExportError(f"{folder / SETTINGS} is not valid JSON: {error}") from None
        names = {field.name for field in fields(cls)}
        if not isinstance(found, dict) or found.keys() != names:
            wrong = sorted(names ^ set(found))
            raise ExportError(
                f"{folder / SETTINGS} is another version's ({', '.join(wrong)}): export the model again"
            )
        return cls(**found)
