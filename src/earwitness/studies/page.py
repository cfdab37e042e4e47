"""The page of the published tables.

python -m earwitness.studies.page > docs/ablations.md
"""

from __future__ import annotations

from collections.abc import Iterator

from earwitness.studies.published import COLUMNS, Paper, Row, Table, papers, published, shown

HEAD = """\
# The published tables

Written by `python -m earwitness.studies.page` from
`src/earwitness/presets/published/`; edit the data, not this page.

Each row is a preset and, at most, a few overrides: `earwitness train PRESET OVERRIDE ...` trains it, and
`earwitness study PAPER --table T` trains, evaluates and prints a whole table beside the published figures
([how](howto/papers.md)). `tests/systems/test_presets.py` builds, trains, saves, reloads and captions with
every row at tiny width. Figures are the papers', times 100, minutes as they are; "–" is unknown. A row
marked *ours* is not in the paper.

Columns: {columns}.
"""
NAMES = {
    "bleu_1": "BLEU-1",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
    "cider_d": "CIDEr-D",
    "spice": "SPICE",
    "spider": "SPIDEr",
    "spider_fl": "SPIDEr-FL",
    "sbert_sim": "Sentence-BERT similarity",
    "fense": "FENSE",
    "gap_l2": "distance of paired mean embeddings",
    "gap_cosine": "their cosine",
    "minutes": "minutes for the test set",
}


def page() -> str:
    """All tables of all papers as Markdown."""
    columns = ", ".join(f"{short} {NAMES[metric]}" for metric, short in COLUMNS.items())
    parts = [HEAD.format(columns=columns)]
    for name in papers():
        paper = published(name)
        parts.append(f"## {paper.paper}\n")
        for number, table in paper.tables.items():
            parts.append("\n".join(_table(name, paper, number, table)) + "\n")
    return "\n".join(parts)


def _table(name: str, paper: Paper, number: str, table: Table) -> Iterator[str]:
    metrics = table.metrics()
    yield f"### {paper.paper} {number}: {table.title}"
    yield ""
    yield f"`earwitness study {name} --table {_quoted(number)}`. Reference: {table.reference}."
    if table.note:
        yield table.note
    yield ""
    yield "| row | set | preset and overrides | " + " | ".join(COLUMNS[m] for m in metrics) + " |"
    yield "|---" * (3 + len(metrics)) + "|"
    for row in table.rows:
        for test, figures in row.published.items():
            cells = [shown(metric, figures.get(metric)) for metric in metrics]
            yield f"| {_name(row)} | {_sets(row, test)} | {_made_by(paper, row)} | {' | '.join(cells)} |"


def _name(row: Row) -> str:
    return row.name + (" (*ours*)" if row.ours else "") + (f"; {row.note}" if row.note else "")


def _sets(row: Row, test: str) -> str:
    return test if row.train in (None, test) else f"{row.train} → {test}"


def _made_by(paper: Paper, row: Row) -> str:
    options = row.decoding.model_dump(exclude_defaults=True)
    at_test = [f"at test {key}: {value}" for key, value in options.items()]
    overrides = [f"`{override}`" for override in row.overrides]
    return "; ".join([" ".join([row.preset or paper.preset, *overrides]), *at_test]).replace("|", "\\|")


def _quoted(number: str) -> str:
    return f'"{number}"' if " " in number else number


if __name__ == "__main__":
    print(page(), end="")
