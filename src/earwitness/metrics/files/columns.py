"""Which columns of a table hold ids, and which hold the captions of a role."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Role = Literal["candidates", "references"]

# Names in the form that `plain_name` gives them. The order is the order of preference.
IDS = (
    *("id", "file_name", "filename", "file", "fname", "raw_name", "path", "file_path", "filepath"),
    *("audio", "audio_path", "audio_file", "audio_filename", "audio_id", "wav", "wav_file", "wav_id"),
    *("clip", "clip_id", "sound", "sound_id", "image_id", "video", "video_id"),
    *("youtube_id", "ytid", "audiocap_id"),
)
STARTS = ("start", "start_time", "start_seconds", "onset")
CANDIDATES = (
    *("caption_predicted", "predicted_caption", "prediction", "predictions"),
    *("candidate", "candidates", "hypothesis"),
)
REFERENCES = ("references", "reference", "mult_references", "captions", "caption_gt", "ground_truth")
NUMBERED = re.compile(r"caption_\d+")  # the references of Clotho and of aac-metrics
# Without a column of the role's own, the first of these that the table has.
SHARED: dict[Role, tuple[str, ...]] = {
    "candidates": ("caption", "text", "captions"),
    "references": ("caption", "text"),
}
OPTIONS: dict[Role, str] = {"candidates": "--caption-column", "references": "--reference-column"}


def plain_name(name: str) -> str:
    """A column's name in lower case, with underscores for blanks and hyphens: "File Name" -> "file_name"."""
    return re.sub(r"[\s\-]+", "_", name.strip().strip("\ufeff").lower())


def is_known(name: str) -> bool:
    """Whether a column of this name holds ids or captions."""
    plain = plain_name(name)
    known = (*IDS, *CANDIDATES, *REFERENCES, *SHARED["candidates"])
    return plain in known or NUMBERED.fullmatch(plain) is not None


def id_columns(columns: Sequence[str]) -> list[str]:
    """The columns that may hold ids, the preferred one first."""
    return [name for name in IDS if name in columns]


def start_column(columns: Sequence[str]) -> str | None:
    """The column with the start of a stretch of a recording, if there is one."""
    return next((name for name in STARTS if name in columns), None)


def caption_columns(columns: Sequence[str], role: Role) -> list[str]:
    """The columns that hold the captions of a role: one, or caption_1, caption_2 ...

    Raises:
        ValueError: no column holds them, or more than one could; the message names the option to use.
    """
    numbered = sorted(filter(NUMBERED.fullmatch, columns), key=lambda name: int(name.rpartition("_")[2]))
    own = [[name] for name in (CANDIDATES if role == "candidates" else REFERENCES) if name in columns]
    if role == "candidates":
        own = [names for names in own if names != ["captions"]]
    elif numbered:
        own.append(numbered)
    if len(own) > 1:
        raise ValueError(_ambiguous([names[0] for names in own], role))
    shared = [name for name in SHARED[role] if name in columns]
    predicted = any(name in columns for name in CANDIDATES)
    if numbered and "caption" in columns and (role == "references" or not predicted):
        raise ValueError(_ambiguous(["caption", numbered[0]], role))
    if own:
        return own[0]
    if shared:
        return shared[:1]
    other = numbered or [name for name in (*CANDIDATES, *REFERENCES) if name in columns]
    if other:
        kind = "references" if role == "candidates" else "candidates"
        raise ValueError(
            f"no column with {role}, only {', '.join(other)}, which holds {kind}; "
            f"{OPTIONS[role]} names the column to take"
        )
    raise ValueError(
        f"no column with a caption; it has {', '.join(columns) or 'none'}; wanted are id and caption, or "
        f"name it with {OPTIONS[role]}; is there a header?"
    )


def _ambiguous(names: Sequence[str], role: Role) -> str:
    return f"{' and '.join(names)} could both hold the {role}: name one with {OPTIONS[role]}"
