"""The table of example captions in README.md, made by the model that comes with the package.

python examples/caption_table.py     # writes it between the README's two marks
"""

from __future__ import annotations

from pathlib import Path

from earwitness import Captioner
from earwitness.media.files import find_media

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- captions:begin -->\n", "<!-- captions:end -->\n"


def table(captioner: Captioner) -> str:
    """Markdown: every example sound with its caption, score and first tags."""
    lines = ["| sound | caption | score | tags |", "|---|---|---|---|"]
    for caption in captioner([str(file) for file in find_media(ROOT / "examples")]):
        name = Path(caption.source).name
        tags = ", ".join(tag for tag, _ in caption.tags[:3])
        lines.append(f"| [{name}](examples/{name}) | **{caption.text}** | {caption.score:.2f} | {tags} |")
    return "\n".join(lines) + "\n"


def between_marks(text: str) -> tuple[str, str, str]:
    """What stands before, between and after the marks; the marks belong to the outer parts."""
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks {BEGIN.strip()} or {END.strip()}")
    return before + begin, inside, end + after


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before, _, after = between_marks(readme.read_text(encoding="utf-8"))
    made = table(Captioner.from_pretrained())
    readme.write_text(before + made + after, encoding="utf-8")
    print(made, end="")
