"""The how-to of LAMB, its very commands at tiny width: from wavs and tables to the printed table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earwitness.cli import app

sys.path.append(str(Path(__file__).parent))
from tiny_study import CAPTIONS, TINY, commands, write_clip, write_towers

pytestmark = pytest.mark.slow

# What a tiny width needs beside the commands of the page.
SMALLER = {
    "train": TINY,
    "study": [*TINY, "--device", "cpu", "--metrics", "rouge_l,cider_d"],
    "evaluate": ["--device", "cpu", "--metrics", "rouge_l,cider_d"],
}


def test_the_how_to_leads_from_wavs_to_the_printed_table(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_towers(tmp_path)
    dataset = tmp_path / "audiocaps" / "dataset"
    dataset.mkdir(parents=True)
    number = 0
    for split, clips in (("train", 4), ("val", 2), ("test", 3)):
        lines = ["audiocap_id,youtube_id,start_time,caption"]
        for i in range(clips):
            name = f"{split}{i:0{11 - len(split)}d}"
            write_clip(tmp_path / "clips" / split / f"{name}.wav", number + i)
            lines += [
                f"{number + i},{name},0,{CAPTIONS[(i + k) % 4]}" for k in range(1 if split == "train" else 2)
            ]
        number += 10
        (dataset / f"{split}.csv").write_text("\n".join(lines) + "\n")
    walk = commands("LAMB")
    assert [words[0] for words in walk] == ["data", "train", "train", "evaluate", "study"]
    outputs = []
    for words in walk:
        result = CliRunner().invoke(app, [*words, *SMALLER.get(words[0], [])])
        assert result.exit_code == 0, (words, result.output, result.stderr, result.exception)
        outputs.append(result.stdout)
    assert "No faults found" in outputs[1] and (tmp_path / "runs" / "lamb" / "model").is_dir()
    assert (tmp_path / "evaluations" / "lamb" / "report.json").is_file() and "cider_d" in outputs[3]
    assert "LAMB 4 on audiocaps: parts left out" in outputs[4]
    for row in ("whole", "without TSA", "without L_CS", "without CMA", "without TG"):
        line = next(line for line in outputs[4].splitlines() if line.startswith(row))
        assert line.count("±") == 2 and line.count("(") == 4  # CIDEr-D and the loss; four published figures
