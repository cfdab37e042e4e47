"""The papers' ablations, each table's axis on composed scenes and a tiny language model.

    python -m benchmarks.ablations lamb|lavcap|distillcaps --run RUN --bank BANK --captions CAPTIONS [--full]

RUN is the run folder of `earwitness train mini`: every row starts from its encoder, trained on tags, and its
language model, trained on captions, before either has met the other. A row trains the preset with the row's
overrides (docs/ablations.md) for one stage; all rows and seeds see the same scenes in another order. What is
already in benchmarks/results/ablations.jsonl is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

from benchmarks.ablations.study import Study, prepare, run_row, shrunk
from benchmarks.ablations.tables import SETS, Figures, Row, page_rows, print_more, print_table
from benchmarks.record import RESULTS, append

# Reduced: some ten minutes a set on two cores at rest. Full: minutes on a GPU.
SCENES = {"reduced": {"train": 1280, "validation": 230}, "full": {"train": 25_600, "validation": 920}}


def known(key: str) -> Figures:
    """What earlier runs measured: seed -> figures."""
    file = RESULTS / "ablations.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    found = [json.loads(line) for line in lines]
    return {entry["seed"]: entry["figures"] for entry in found if entry["key"] == key}


def measured(row: Row, study: Study, scenes: dict[str, int], seeds: int) -> Figures:
    """The row's figures for each seed; rows that come to the same small model share them."""
    small = shrunk(row.preset, list(row.overrides), study).model_dump_json(
        exclude={"model": {"language_model": {"source"}}}
    )
    key = hashlib.sha256(f"{small} {scenes}".encode()).hexdigest()[:16]
    figures = known(key)
    for seed in range(seeds):
        if seed not in figures:
            figures[seed] = run_row(row.preset, list(row.overrides), study, seed)
            about = {"key": key, "preset": row.preset, "overrides": row.overrides, "scenes": scenes}
            append("ablations", about | {"seed": seed, "figures": figures[seed]})
    return {seed: figures[seed] for seed in range(seeds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/banks"))
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--scenes", type=int, help="for training; default 1280, or 25600 with --full")
    parser.add_argument("--count", type=int, help="for validation; default 230, or 920 with --full")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    form = SCENES["full" if options.full else "reduced"]
    scenes = {"train": options.scenes or form["train"], "validation": options.count or form["validation"]}
    rows = [row for row in page_rows() if row.table in SETS[options.set]]
    whole = Row("", "the whole preset", options.set, (), "")
    with tempfile.TemporaryDirectory() as folder:
        study = prepare(options.run, options.bank, options.cache, options.captions, scenes, Path(folder))
        figures = {row: measured(row, study, scenes, options.seeds) for row in [whole, *rows]}
    for table in SETS[options.set]:
        print_table(table, [(row, figures[row]) for row in rows if row.table == table], figures[whole])
    print("\nWhat else was measured")
    for row in [whole, *rows]:
        print_more(f"{row.table} {row.name}".strip(), figures[row])


if __name__ == "__main__":
    main()
