"""A stage of labels trains the language model alone, with and without a reward, evaluations included."""

from __future__ import annotations

import csv
import json

import pytest
from safetensors.torch import load_file

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.preset import Preset
from earwitness.training.run import train

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rewarded", [False, True])
def test_only_the_language_model_learns(bank_folder, tiny_checkpoint, sentence_encoder, tmp_path, rewarded):
    pairs = tmp_path / "pairs.csv"
    with pairs.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(["labels", "caption"])
        rows.writerows([["['dog', 'speech']", f"a dog barks {'and barks ' * (i % 7)}"] for i in range(40)])
    stage = {
        "name": "labels",
        "task": "labels",
        "data": {
            "kind": "labels",
            "bank": str(bank_folder),
            "pairs": [str(pairs)],
            "validation_share": 0.3,
        },
        "batch_size": 4,
        "learning_rate": 1e-2,
        "workers": 0,
        "evaluate_every": 5,
        "trainer": {"logging_steps": 1, "disable_tqdm": True, "max_steps": 10},
    }
    if rewarded:
        stage |= {"losses": {"caption": 0.5, "self_critical": 0.5}}
        stage["reward"] = {"sentence_encoder": sentence_encoder, "samples": 2}
    config = json.loads((tiny_checkpoint / "config.json").read_text()) | {"prompt": "<tags><audio><bos>"}
    recipe = {"description": "tiny", "init": str(tiny_checkpoint), "model": config, "stages": [stage]}
    train(Preset.model_validate(recipe | {"report_to": []}), tmp_path / "run")
    before = {n: p.clone() for n, p in load_checkpoint(str(tiny_checkpoint)).state_dict().items()}
    after = load_file(tmp_path / "run" / "0-labels" / "stage.safetensors")
    changed = {n.split(".")[0] for n, tensor in after.items() if not tensor.equal(before[n].to(tensor))}
    assert changed == {"language_model"}
    metrics = [json.loads(row) for row in (tmp_path / "run/0-labels/metrics.jsonl").read_text().splitlines()]
    evaluations = [row for row in metrics if "eval_caption" in row]
    assert len(evaluations) >= 2 and evaluations[-1]["eval_caption"] < evaluations[0]["eval_caption"]
    assert ("eval_self_critical" in evaluations[-1]) == rewarded
