"""A study on scenes composed from a tiny bank, with the recipe and the command of the how-to."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earwitness.captioner import DEFAULT
from earwitness.checkpoints.folder import WEIGHTS
from earwitness.cli import app

sys.path.append(str(Path(__file__).parent))
from tiny_study import TINY, block, commands, write_towers

SECTION = "On composed scenes, or on data of your own"
SMALLER = ["--seeds", "2", "--count", "4", "--test-count", "3", "--device", "cpu"]
SMALLER += ["--metrics", "rouge_l,meteor,cider_d", "model.language_model.source=Llama-2-7b-hf", TINY[-1]]
ROWS = ["whole", "without TSA", "without L_CS", "without CMA", "without TG"]


@pytest.mark.skipif(not (DEFAULT / WEIGHTS).is_file(), reason="assets/mini holds no model.safetensors yet")
def test_a_table_is_printed_of_composed_scenes(bank_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_towers(tmp_path)
    Path("bank").symlink_to(bank_folder)
    Path("small.yaml").write_text(block(SECTION, "yaml"))
    sounds = [
        "a man speaks",
        "a woman speaks",
        "a dog barks",
        "rain falls",
        "a bell rings",
        "a car engine runs",
    ]
    for name, end in (("train", "loudly"), ("val", "nearby")):
        Path(f"{name}.csv").write_text("caption\n" + "".join(f"{sound} {end}\n" for sound in sounds))
    command = commands(SECTION)[0]
    assert command[:3] == ["study", "lamb", "--table"]
    result = CliRunner().invoke(app, [*command, *SMALLER])
    assert result.exit_code == 0, (result.output, result.exception)
    out = Path("studies/lamb")
    assert (out / "study.txt").read_text() == result.stdout
    lines = result.stdout.splitlines()
    assert lines[0] == "LAMB 4 on data: parts left out" and "published, audiocaps" in lines[1]
    assert lines[2].split() == ["MT", "CD", "SC", "SD", "loss"]
    for name in ROWS:
        line = next(line for line in lines if line.startswith(name))
        assert (
            line.count("±") == 3 and line.count("(") == 4
        )  # two metrics and the loss; four published figures
    verdicts = [line for line in lines if line.startswith("  without")]
    assert len(verdicts) == 4 and all("MT " in line and "CD " in line for line in verdicts)
    cells = {(r["row"], r["metric"]): r for r in csv.DictReader((out / "study.csv").open())}
    whole, without = cells["whole", "cider_d"], cells["without CMA", "cider_d"]
    assert (whole["seeds"], whole["published"], without["published_difference"]) == ("2", "91.1", "-12.5")
    assert without["verdict"] in ("holds", "does not hold", "within noise") and not whole["verdict"]
    assert without["verdict"] in next(line for line in verdicts if "without CMA" in line)
    latex = (out / "study.tex").read_text()
    assert all(f"{name} & ours & ".replace("_", r"\_") in latex for name in ROWS)
    assert " & published & 27.1 & 91.1 & " in latex
    assert len(list((out / "trained").iterdir())) == len(list((out / "evaluated").iterdir())) == 10
