"""The published tables as data: figures noted from the papers, the page made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from earwitness.config.errors import ConfigError
from earwitness.config.preset import load_preset
from earwitness.studies.page import page
from earwitness.studies.published import Paper, papers, published

PAGE = Path(__file__).parents[2] / "docs" / "ablations.md"


def test_the_page_is_made_of_the_data() -> None:
    written = PAGE.read_text("utf-8")
    assert written == page(), "run: python -m earwitness.studies.page > docs/ablations.md"


@pytest.mark.parametrize("name", papers())
def test_every_row_is_a_recipe(name: str) -> None:
    """Its overrides name places that are there, and change something."""
    paper = published(name)
    for number, _, row in paper.rows():
        preset = row.preset or paper.preset
        plain, changed = load_preset(preset), load_preset(preset, row.overrides)
        states_a_default = (name, number, row.name) == ("lamb", "3", "squared L2")
        assert (changed != plain) == (bool(row.overrides) and not states_a_default), (number, row.name)
        for test in row.published:
            load_preset(preset, [*paper.sets[row.train or test].overrides, *row.overrides])
        assert all(row.published.values()) or row.ours or row.note == "figures not available", row.name


def test_figures_agree_where_a_table_repeats_another() -> None:
    """The whole system has one figure a metric and test set, whatever the table."""
    for name in papers():
        paper = published(name)
        found: dict[tuple[object, ...], float] = {}
        for number, _, row in paper.rows():
            key = (row.preset, *sorted(row.overrides), row.train, row.decoding.retrieve)
            for test, figures in row.published.items():
                for metric, value in figures.items():
                    assert found.setdefault((*key, test, metric), value) == value, (number, row.name, metric)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"reference": "none"}, "there is no row 'none'"),
        ({"rows": [{"name": "a", "published": {"x": {"cidr": 1.0}}}]}, "no column for cidr"),
        ({"rows": [{"name": "a", "published": {"y": {}}}]}, "there is no y"),
        ({"rows": [{"name": "a", "published": {"x": {}}}] * 2}, "two rows have the same name"),
    ],
)
def test_faults_are_named(change: dict[str, object], message: str) -> None:
    table = {"title": "t", "reference": "a", "rows": [{"name": "a", "published": {"x": {}}}]} | change
    data = {"paper": "P", "preset": "lamb", "sets": {"x": {"test": "x.jsonl"}}, "tables": {"1": table}}
    with pytest.raises(ValidationError, match=message):
        Paper.model_validate(data)


def test_an_unknown_paper_is_told_the_right_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'lavcap'"):
        published("lavcab")
