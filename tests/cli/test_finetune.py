"""The page "Fine-tune on your own recordings", command by command, on a few short recordings."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness.captioner import DEFAULT
from earwitness.checkpoints.folder import WEIGHTS, load_checkpoint
from earwitness.cli import app
from earwitness.training.model_card import data_section, start_card

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "finetune.md"
SHORTER = {"train": ["stages.0.data.epochs=2", "stages.0.batch_size=4", "stages.0.evaluate_every=2"]}


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.mark.skipif(not (DEFAULT / WEIGHTS).is_file(), reason="assets/mini holds no model.safetensors yet")
def test_the_page_from_a_folder_of_sounds_to_before_and_after(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("recordings").mkdir()
    for i in range(7):
        rng = np.random.default_rng(i)
        tone = np.sin(2 * np.pi * 300 * (1 + i) * np.arange(16_000) / 16_000) * rng.uniform(0.5, 1, 16_000)
        soundfile.write(f"recordings/{i}.wav", 0.2 * tone, 16_000)
    soundfile.write("new.wav", 0.2 * tone, 16_000)
    first, *others = commands()
    caption, data, train, before, after, new = [first, *others][:6]
    for command in (caption, data, train, before, after, new):
        if command is data:
            correct_by_hand(Path("recordings/captions.csv"))
        result = CliRunner().invoke(app, command + SHORTER.get(command[0], []))
        assert result.exit_code == 0, (command, result.output, result.exception)
    rows = [json.loads(line) for line in Path("recordings/manifest.jsonl").read_text("utf-8").splitlines()]
    assert [row["captions"] for row in rows] == [[f"device {i} hums"] for i in range(6)]
    assert "1 without caption: 6" in CliRunner().invoke(app, data).output
    held = Path("runs/mine/validation.jsonl").read_text("utf-8").splitlines()
    logged = [
        json.loads(line)
        for line in Path("runs/mine/0-finetune/metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert len(held) == 2 and logged[0]["step"] == 0 and "eval_loss" in logged[0]
    report = Path("runs/mine/0-finetune/report.html").read_text("utf-8")
    assert "<svg" in report and re.search(r"<td>device \d hums", report)
    card = load_checkpoint("runs/mine/model").card
    assert "base_model:\n  - mini\n" in card and "### Data of mini" in card
    assert len(data_section(start_card("mini"))) > 100 and data_section(start_card("mini")) in card
    for folder in ("before", "after"):
        assert json.loads(Path(f"runs/{folder}/report.json").read_text("utf-8"))["corpus"]["cider_d"] >= 0


def correct_by_hand(table: Path) -> None:
    """What a person does in a spreadsheet: other captions, one of them left empty; saved with semicolons."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        number = int(Path(row["path"]).stem)
        row["caption"] = f"device {number} hums" if number < 6 else ""
    with table.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
