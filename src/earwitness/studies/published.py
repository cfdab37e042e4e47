"""The published tables as data: presets/published/PAPER.yaml, one file a paper, validated."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import Field, model_validator

from earwitness.config.errors import ConfigError, did_you_mean, validated
from earwitness.config.section import Count, Section

COLUMNS = {  # metric -> the papers' name of its column
    "bleu_1": "B1",
    "bleu_4": "B4",
    "rouge_l": "RG",
    "meteor": "MT",
    "cider_d": "CD",
    "spice": "SC",
    "spider": "SD",
    "spider_fl": "SF",
    "sbert_sim": "SB",
    "fense": "FS",
    "gap_l2": "L2",
    "gap_cosine": "cos",
    "minutes": "min",
}
PERCENT = frozenset(COLUMNS) - {"gap_l2", "gap_cosine", "minutes"} | {
    "spice_approx",
    "spider_approx",
}  # times 100


class Decoding(Section):
    """How a row's test set is captioned; None: as the model's config says.

    retrieve: manifest shows the captions of the manifest's column `retrieved` to the model, store those that
    a datastore finds meanwhile. correct, rerank: with the model's sections of these names.
    """

    beams: Count | None = None
    length_penalty: float | None = None
    max_new_tokens: Count | None = None
    retrieve: Literal["manifest", "store"] | None = None
    rerank: bool = False
    correct: bool = False


class Row(Section):
    """A row: what it trains, how it is tested, and test set -> metric -> published figure.

    preset: where it differs from the paper's. train: the set trained on, where it is not the one tested on.
    ours: a row that the paper has not.
    """

    name: str
    preset: str | None = None
    overrides: list[str] = Field([])
    train: str | None = None
    decoding: Decoding = Decoding()
    published: Annotated[dict[str, dict[str, float]], Field(min_length=1)]
    ours: bool = False
    note: str | None = None

    @model_validator(mode="after")
    def _known_metrics(self) -> Row:
        for figures in self.published.values():
            if unknown := figures.keys() - COLUMNS.keys():
                raise ValueError(f"published: there is no column for {', '.join(sorted(unknown))}")
        return self


class Table(Section):
    """reference: the row which the others' directions are judged against."""

    title: str
    reference: str
    rows: Annotated[list[Row], Field(min_length=1)]
    note: str | None = None

    @model_validator(mode="after")
    def _reference_is_a_row(self) -> Table:
        names = [row.name for row in self.rows]
        if len(set(names)) < len(names):
            raise ValueError("two rows have the same name")
        if self.reference not in names:
            raise ValueError(f"reference: there is no row {self.reference!r}")
        return self

    def metrics(self) -> list[str]:
        """The metrics that the paper gives for any row, in the order of COLUMNS."""
        given = {m for row in self.rows for figures in row.published.values() for m in figures}
        return [name for name in COLUMNS if name in given]


class DataSet(Section):
    """A set that rows are trained on and tested on. overrides: what training on it changes in the preset."""

    test: str
    store: str | None = None
    overrides: list[str] = Field([])


class Paper(Section):
    paper: str
    preset: str
    sets: dict[str, DataSet]
    tables: dict[str, Table]

    @model_validator(mode="after")
    def _sets_exist(self) -> Paper:
        rows = [row for table in self.tables.values() for row in table.rows]
        named = {name for row in rows for name in (*row.published, row.train) if name}
        if unknown := named - self.sets.keys():
            raise ValueError(f"sets: there is no {', '.join(sorted(unknown))}")
        return self

    def rows(self) -> Iterator[tuple[str, Table, Row]]:
        for number, table in self.tables.items():
            yield from ((number, table, row) for row in table.rows)


def papers() -> list[str]:
    """Names of the papers whose tables are known."""
    folder = resources.files("earwitness.presets").joinpath("published")
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def published(paper: str) -> Paper:
    """The tables of a paper. Raises ConfigError for one that is not known or not valid."""
    if paper not in papers():
        hint = did_you_mean(paper, papers()) or f"; papers: {', '.join(papers())}"
        raise ConfigError(f"no paper named {paper!r}{hint}")
    file = resources.files("earwitness.presets").joinpath("published", f"{paper}.yaml")
    found: Paper = validated(Paper, yaml.safe_load(file.read_text("utf-8")), f"published/{paper}.yaml")
    return found


def shown(metric: str, value: float | None) -> str:
    """A figure as the papers print it; a published percentage is already times 100."""
    if value is None:
        return "–"
    return f"{value:.2f}" if metric == "gap_cosine" else f"{value:.1f}"
