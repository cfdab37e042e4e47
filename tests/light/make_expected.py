"""Writes expected.json: what torch says of the examples. Run again when the built-in weights change:

python tests/light/make_expected.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from earwitness import Captioner
from earwitness.media.files import find_media

FILE = Path(__file__).with_name("expected.json")
EXAMPLES = Path(__file__).parents[2] / "examples"


def expected() -> dict[str, Any]:
    captioner = Captioner.from_pretrained(device="cpu", runtime="torch")
    captions = {file.name: captioner(str(file)) for file in sorted(find_media(EXAMPLES))}
    return {
        "captions": {
            name: {"text": c.text, "score": round(c.score, 6), "tags": {n: round(p, 6) for n, p in c.tags}}
            for name, c in captions.items()
        },
        "timeline": [[c.start, c.end, c.text] for c in captioner.timeline(str(EXAMPLES / "street.mp4"), 5.0)],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(expected(), indent=1) + "\n", encoding="utf-8")
