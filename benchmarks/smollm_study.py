"""LAMB on a frozen SmolLM2: weights of the aligner's losses, and the rows of Table 4, on one CPU core.

    python -m benchmarks.smollm_study weights --data DATA --minutes 30 --sentence-encoder MODEL
    python -m benchmarks.smollm_study table4 --data DATA --minutes 60 --seeds 2 --sentence-encoder MODEL

DATA: the folder of composed scenes that `earwitness study lamb --scenes ...` writes, of one length. The
encoder is frozen, so its outputs are computed once; SmolLM2 is frozen and in memory once. The variants take
turns, step by step on the same batches, so that all have been trained equally long when the time is up. Then
each is judged on the validation scenes: loss of the captions (nats a token), modality gap, CIDEr-D, METEOR,
and R@10 among 115 (chance .087).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.mini_quality import Embed, recall_at
from benchmarks.record import append
from earwitness.build import build_adapter, build_model, build_search
from earwitness.config.preset import Preset, load_preset
from earwitness.data.manifest import Manifest
from earwitness.decoding.prompt import Prompt
from earwitness.decoding.words import normalise_caption
from earwitness.embeds import Embeds
from earwitness.media.reading import load_audio
from earwitness.metrics import score
from earwitness.metrics.sentence_encoder import SentenceEncoder
from earwitness.model import AudioCaptioningModel
from earwitness.studies.aggregate import cells
from earwitness.studies.plan import Plan, Request, make_plan
from earwitness.studies.render import text_tables
from earwitness.training.arguments import parameter_groups
from earwitness.training.objective import CaptioningTask

PRESET, STAGE = "lamb-smol", "pretrain"
SHORTER = [  # what makes hours of it
    "model.language_model.tune=freeze",
    "model.adapter.0.global_queries=8",
    "model.prompt=<audio>Describe the sound:",
    "model.decoding.beams=1",
    "model.decoding.max_new_tokens=20",
    f"only=[{STAGE}]",
    "stages.0.batch_size=8",
    "stages.0.learning_rate=1e-3",
]
ALIGNMENT = ("cs_global", "cs_token", "info_nce")
WARM_UP = 10  # steps, then the rate is constant: how many steps there will be is not known
JUDGED = 23  # scenes captioned at once


def weighted(weight: float, *more: str) -> list[str]:
    return [*(f"stages.*.losses.{name}={weight}" for name in ALIGNMENT), *more]


WEIGHTS = {  # variant -> overrides
    "weights 0.1": weighted(0.1),
    "weights 1": weighted(1),
    "weights 10": weighted(10),
    "weights 1, <tags>": weighted(1, "model.prompt=<tags><audio>Describe the sound:"),
}


class Remembered:
    """The encoder after it has encoded every scene: in place of a log-mel it is given its own outputs."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.encoder, name)

    def encode_log_mel(self, values: Tensor, frames: Tensor) -> Embeds:
        return Embeds.full(values)


@dataclass
class Scenes:
    """h_a [n, N_a, D] and the captions of scenes."""

    h_a: Tensor
    captions: list[str]

    @classmethod
    def of(cls, manifest: Path, model: AudioCaptioningModel) -> Scenes:
        rows = list(Manifest.open(manifest))
        parts = []
        for first in range(0, len(rows), JUDGED):
            sounds = [load_audio(row.audio, 16_000).waveform for row in rows[first : first + JUDGED]]
            lengths = torch.tensor([len(sound) for sound in sounds])
            with torch.no_grad():
                parts.append(
                    model.listen({"waveforms": torch.from_numpy(np.stack(sounds)), "lengths": lengths}).values
                )
        return cls(torch.cat(parts), [normalise_caption(row.captions[0]) for row in rows])

    def parts(self) -> list[slice]:
        return [slice(first, first + JUDGED) for first in range(0, len(self.captions), JUDGED)]

    def batch(self, model: AudioCaptioningModel, which: Sequence[int] | slice) -> dict[str, Any]:
        values = self.h_a[which]
        captions = np.array(self.captions, dtype=object)[which].tolist()
        ids, mask = model.language_model.encode_captions(captions)
        return {"sound": {"log_mel": values, "frames": torch.zeros(len(values))}, "ids": ids, "mask": mask}


@dataclass
class Variant:
    """A row with its own adapter, guide and optimiser on shared towers."""

    name: str
    model: AudioCaptioningModel
    task: CaptioningTask
    optimiser: torch.optim.Optimizer
    scheduler: Any
    clip: float
    losses: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, preset: Preset, towers: AudioCaptioningModel) -> Variant:
        config, stage = preset.model, preset.stages[0]
        torch.manual_seed(stage.seed)
        model = AudioCaptioningModel(
            encoder=Remembered(towers.encoder),
            adapter=build_adapter(config, towers.encoder, towers.language_model),
            language_model=towers.language_model,
            prompt=Prompt(config.prompt),
            search=build_search(config.decoding, towers.encoder, towers.language_model),
            config=config,
        )
        task = CaptioningTask(model, stage.losses).train()
        optimiser = torch.optim.AdamW(parameter_groups(task, stage))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: min(1.0, (n + 1) / WARM_UP))
        return cls(name, model, task, optimiser, scheduler, stage.clip)

    def step(self, batch: dict[str, Any]) -> None:
        out = self.task(**batch)
        out["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.task.parameters(), self.clip)
        self.optimiser.step()
        self.scheduler.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.losses.append(out["caption"].item())

    @torch.no_grad()
    def measured(self, scenes: Scenes) -> dict[str, float]:
        """Loss of the captions and modality gap."""
        self.task.eval()
        parts = [self.task(**scenes.batch(self.model, part)) for part in scenes.parts()]
        names = {"loss": "caption", "gap_l2": "modality_gap_l2", "gap_cosine": "modality_gap_cosine"}
        return {ours: mean(part[name].item() for part in parts) for ours, name in names.items()}

    @torch.no_grad()
    def captioned(self, scenes: Scenes, embed: Embed) -> dict[str, float]:
        """R@10 and scores of its captions, of which some are printed."""
        self.task.eval()
        captions: list[str] = []
        for part in scenes.parts():
            captions += self.model.caption(scenes.batch(self.model, part)["sound"]).texts
        for caption, wanted in list(zip(captions, scenes.captions))[:4]:
            print(f"    {caption}  (wanted: {wanted})")
        report = score(captions, [[caption] for caption in scenes.captions], "cider_d,meteor,spider_approx")
        distinct = len(set(captions)) / len(captions)
        return report.corpus | {
            "r_at_10": recall_at(10, captions, scenes.captions, embed),
            "distinct": distinct,
        }


def trained(variants: list[Variant], scenes: Scenes, seeds: Sequence[int], minutes: float, most: int) -> int:
    """Trains all of them in turns, each by its own seed's batches; returns the steps that each has made."""
    size, begin, step = 8, time.monotonic(), 0
    while step < most and time.monotonic() - begin < 60 * minutes:
        for variant, seed in zip(variants, seeds):
            rng = np.random.default_rng((seed, step))
            variant.step(scenes.batch(variant.model, rng.choice(len(scenes.captions), size, replace=False)))
        step += 1
        if step % 10 == 0:
            taken = time.monotonic() - begin
            recent = ", ".join(f"{v.name} {mean(v.losses[-10:]):.2f}" for v in variants)
            print(
                f"step {step}, {taken:.0f} s, {time.process_time():.0f} s of the core: {recent}", flush=True
            )
    return step


def of_table(data: Path, seeds: int, overrides: list[str]) -> tuple[Plan, dict[str, Preset], list[int]]:
    """The plan of LAMB's Table 4, and the preset and seed of every trial."""
    plan = make_plan(Request("lamb", ["4"], seeds, overrides, PRESET, data))
    presets = {trial.name: trial.training.preset for trial in plan.trials}
    return plan, presets, [trial.seed for trial in plan.trials]


def lines(figures: dict[str, dict[str, float]]) -> Iterator[str]:
    names = ["loss", "gap_l2", "gap_cosine", "r_at_10", "cider_d", "meteor", "distinct"]
    yield "  ".join([f"{'':24}", *(f"{name:>10}" for name in names)])
    for variant, own in figures.items():
        yield "  ".join([f"{variant:24}", *(f"{own[name]:10.3f}" for name in names)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["weights", "table4"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, default=100_000, help="of each variant at most")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sentence-encoder", required=True, help="of R@10")
    parser.add_argument("--override", action="append", default=[], help="of every variant")
    options = parser.parse_args()
    torch.set_num_threads(1)
    overrides, plan = [*SHORTER, *options.override], None
    if options.what == "weights":
        presets = {name: load_preset(PRESET, [*overrides, *more]) for name, more in WEIGHTS.items()}
        seeds = [0] * len(presets)
    else:
        plan, presets, seeds = of_table(options.data, options.seeds, overrides)
    first = next(iter(presets.values())).model
    towers = build_model(first).eval()
    train, held = (Scenes.of(options.data / f"{name}.jsonl", towers) for name in ("train", "validation"))
    variants = [Variant.of(name, preset, towers) for name, preset in presets.items()]
    steps = trained(variants, train, seeds, options.minutes, options.steps)
    embed, figures = SentenceEncoder(options.sentence_encoder), {}
    for variant in variants:
        figures[variant.name] = variant.measured(held)
        print(f"{variant.name} after {steps} steps: {json.dumps(figures[variant.name])}", flush=True)
    for variant in variants:
        print(variant.name)
        figures[variant.name] |= variant.captioned(held, embed)
        print(json.dumps(figures[variant.name]), flush=True)
    print("\n".join(lines(figures)))
    if plan is not None:
        print("\n".join(text_tables(plan, list(cells(plan, figures)))))
    append(f"smollm_{options.what}", {"steps": steps, "batch": 8, "figures": figures, "options": overrides})


if __name__ == "__main__":
    main()
