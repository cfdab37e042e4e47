"""Means, verdicts and tables of a study, on made-up figures of which every value can be checked by hand."""

from __future__ import annotations

import csv
import io

import pytest

from earwitness.studies.aggregate import cells, verdict
from earwitness.studies.plan import Request, make_plan
from earwitness.studies.render import csv_text, latex_tables, text_tables


@pytest.mark.parametrize(
    "gaps, published, said",
    [
        ([-3.0, -3.1, -2.9], -9.5, "holds"),
        ([3.0, 3.1, 2.9], -9.5, "does not hold"),
        ([-3.0, 4.0, -1.0], -9.5, "within noise"),
        ([-1.0, -3.0, -3.5], -9.5, "within noise"),  # 3.3 standard errors are not enough with three seeds
        ([-3.0], -9.5, "one seed: no verdict"),
        ([], -9.5, "not measured"),
        ([-3.0, -3.1], None, "no published direction"),
    ],
)
def test_a_direction_must_stand_out_of_the_seeds(gaps, published, said) -> None:
    assert verdict(gaps, published) == said


@pytest.fixture
def study():
    """LAMB 3 with three seeds: cosine is worse as published, L1 is better, which is not."""
    plan = make_plan(Request("lamb", ["3"], seeds=3))
    level = {"cosine": 0.80, "L1": 0.95, "squared L2": 0.90}
    figures = {
        t.name: {
            "cider_d": level[t.row.name] + 0.01 * t.seed,
            "spice_approx": 0.2,
            "loss": 2.0 + 0.1 * t.seed,
        }
        for t in plan.trials
    }
    return plan, list(cells(plan, figures))


def test_cells_hold_ours_and_the_published(study) -> None:
    _, found = study
    cell = {(c.row.name, c.metric): c for c in found}["cosine", "cider_d"]
    assert cell.values == pytest.approx((80, 81, 82)) and cell.published == 81.6
    assert cell.mean == pytest.approx(81) and cell.sd == pytest.approx(1)
    assert cell.gaps == pytest.approx((-10, -10, -10)) and cell.published_gap == pytest.approx(-9.5)
    by_row = {(c.row.name, c.metric): c.verdict for c in found}
    assert by_row["cosine", "cider_d"] == "holds" and by_row["L1", "cider_d"] == "does not hold"
    assert by_row["squared L2", "cider_d"] == "" and by_row["cosine", "loss"] == "no published direction"
    assert by_row["cosine", "meteor"] == "not measured"


def test_the_text_sets_ours_beside_the_published(study) -> None:
    text = "\n".join(text_tables(*study))
    assert "LAMB 3 on audiocaps: scores of the Token Guide" in text
    assert "81.0 ± 1.0 (81.6)" in text and "– (26.6)" in text and "2.100 ± 0.100" in text
    assert "cosine: CD holds" in text and "L1: CD does not hold" in text
    header = next(line for line in text.splitlines() if "MT" in line)
    assert header.split() == ["MT", "CD", "SC", "SD", "SC~", "loss"]


def test_csv_has_a_row_a_cell(study) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(*study))))
    row = next(r for r in rows if r["row"] == "L1" and r["metric"] == "cider_d")
    assert float(row["mean"]) == pytest.approx(96) and float(row["published"]) == 88.6
    assert float(row["difference"]) == pytest.approx(5) and row["seeds"] == "3"
    assert float(row["published_difference"]) == pytest.approx(-2.5) and row["verdict"] == "does not hold"
    unmeasured = next(r for r in rows if r["metric"] == "meteor")
    assert unmeasured["mean"] == "" and unmeasured["published"]


def test_latex_has_the_papers_columns(study) -> None:
    text = latex_tables(*study)
    assert "System &  & MT & CD & SC & SD & SC$\\sim$ & loss \\\\" in text
    assert "cosine & ours & -- & 81.0 $\\pm$ 1.0" in text and " & published & 26.6 & 81.6" in text
    assert text.count("\\begin{tabular}") == text.count("\\end{tabular}") == 1
