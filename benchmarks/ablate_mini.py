"""What each idea brings to the embedded default, at a reduced budget and one setting at a time.

    python -m benchmarks.ablate_mini --run runs/mini --bank BANK --captions CAPTIONS --scenes 6400

Every variant starts from the same encoder and language model (the stages `tagging` and `language` of a
finished run), trains the captioning stage on the same number of scenes, and is measured on the same
validation scenes. Augmentation also shapes the encoder, so it is ablated on the tagging stage from scratch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.mini_quality import evaluate, word_vectors
from earwitness.build import build_model
from earwitness.config.preset import Preset, load_preset
from earwitness.training.beginning import run_tokenizer, with_tags
from earwitness.training.inputs.stage_data import stage_data
from earwitness.training.preflight import bank_sources
from earwitness.training.trainer import train_stage

CAPTIONING = {
    "full": {},
    "without scenes from human captions": {"stage": {"data": {"human": 0.0}}},
    "without augmentation (captioning only)": {"stage": {"data": {"augment": 0.0}}},
    "without Token Guide": {
        "model": {"decoding": {"guide": None}},
        "stage": {"losses": {"guided_caption": 0.0}},
    },
    "without CS losses": {"stage": {"losses": {"cs_global": 0.0, "cs_token": 0.0}}},
    "without two-stream adapter (linear)": {"model": {"adapter": [{"kind": "linear"}]}},
}
TAGGING = {
    "full": {},
    "without augmentation": {"data": {"augment": 0.0}},
    "without human captions": {"data": {"human": 0.0}},
}


def merged(base: dict, changes: dict) -> dict:
    out = dict(base)
    for key, value in changes.items():
        out[key] = (
            merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
        )
    return out


def variant(preset: Preset, stage: int, scenes: int, changes: dict) -> Preset:
    data = preset.model_dump()
    base = data["stages"][stage]
    base["data"] |= {"count": scenes}
    base["evaluate_every"] = 10**6
    data["stages"] = [merged(base, changes.get("stage", {}))]
    data["model"] = merged(data["model"], changes.get("model", {}))
    return Preset.model_validate(data)


def train_variant(preset: Preset, run: Path, start: dict[str, torch.Tensor], seed: int):
    sources = bank_sources(preset, run)
    torch.manual_seed(seed)
    model = build_model(with_tags(preset, sources), run_tokenizer(preset, run))
    own = model.state_dict()
    for name, tensor in start.items():
        if (
            name in own
            and own[name].shape == tensor.shape
            and name.split(".")[0] in ("encoder", "language_model")
        ):
            own[name].copy_(tensor)
    folder = Path(tempfile.mkdtemp())
    try:
        metrics = train_stage(
            model,
            preset.stages[0],
            folder,
            stage_data(preset.stages[0], model, sources[preset.stages[0].name]),
        )
    finally:
        shutil.rmtree(folder)
    return model.eval(), next(iter(sources.values())), metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=6400)
    parser.add_argument("--tagging-scenes", type=int, default=0, help="0 leaves the tagging ablations out")
    parser.add_argument("--count", type=int, default=460)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/ablate_mini.jsonl"))
    options = parser.parse_args()
    preset = load_preset(options.preset)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    embed = word_vectors(options.captions).embed
    start = load_file(options.run / "1-language" / "stage.safetensors")
    with options.out.open("a", encoding="utf-8") as results:
        for name, changes in CAPTIONING.items():
            model, source, metrics = train_variant(
                variant(preset, 2, options.scenes, changes), options.run, start, options.seed
            )
            row = {"ablation": name, "scenes": options.scenes, "loss": metrics["eval_caption"]}
            row |= evaluate(model, source, options.count, embed, beams=3)
            print(json.dumps(row), file=results, flush=True)
            print(json.dumps(row), flush=True)
        for name, changes in TAGGING.items() if options.tagging_scenes else ():
            one = variant(preset, 0, options.tagging_scenes, {"stage": changes})
            _, _, metrics = train_variant(one, options.run, {}, options.seed)
            row = {
                "ablation": f"tagging: {name}",
                "scenes": options.tagging_scenes,
                "tag_map": metrics["eval_map"],
            }
            print(json.dumps(row), file=results, flush=True)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
