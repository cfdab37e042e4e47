"""Seconds a training step of LAMB on SmolLM2-135M takes, part by part.

    python -m benchmarks smollm_step [--tune lora|freeze] [--batch 8] [--seconds 10] [--repeats 5]

The preset is lamb-smol: the built-in model's encoder, frozen, a two-stream adapter of 32 tokens, a prompt of
16, and captions of 15 tokens. With one thread (OMP_NUM_THREADS=1) the seconds are the processor's, not the
wall's.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import median
from typing import Any

import torch

from benchmarks.record import Row, Stopwatch, fair_clock, report
from earwitness.build import build_model
from earwitness.config.preset import load_preset
from earwitness.model import AudioCaptioningModel
from earwitness.training.arguments import parameter_groups
from earwitness.training.objective import CaptioningTask

CAPTION = "a man speaks while a dog barks and wind blows in the distance"
PARTS = ("encoder", "adapter", "language model, forward", "Token Guide")


def watched(model: AudioCaptioningModel) -> dict[str, Stopwatch]:
    """A stopwatch around each part of the forward pass."""
    watches = {name: Stopwatch() for name in PARTS}
    places: list[tuple[Any, str]] = [
        (model, "listen"),
        (model.adapter, "forward"),
        (model.language_model, "branches"),
        (model.guide, "forward"),
    ]
    for watch, (part, name) in zip(watches.values(), places):
        setattr(part, name, watch.around(getattr(part, name)))
    return watches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tune", choices=["lora", "freeze"], default="lora")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    preset = load_preset("lamb-smol", [f"model.language_model.tune={options.tune}"])
    torch.manual_seed(0)
    model = build_model(preset.model)
    task = CaptioningTask(model, preset.stages[0].losses).train()
    optimiser = torch.optim.AdamW(parameter_groups(task, preset.stages[0]))
    waveforms = 0.05 * torch.randn(options.batch, round(16_000 * options.seconds))
    lengths = torch.full((options.batch,), waveforms.shape[1])
    ids, mask = model.language_model.encode_captions([CAPTION] * options.batch)
    watches, clock = watched(model), fair_clock()
    taken: dict[str, list[float]] = defaultdict(list)
    for repeat in range(options.repeats + 1):
        for watch in watches.values():
            watch.reset()
        begin = clock()
        loss = task(sound={"waveforms": waveforms, "lengths": lengths}, ids=ids, mask=mask)["loss"]
        forward = clock()
        loss.backward()
        backward = clock()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        end = clock()
        if not repeat:  # the first warms up
            continue
        for name, watch in watches.items():
            taken[name].append(watch.seconds)
        taken["losses, prompt"].append(forward - begin - sum(watch.seconds for watch in watches.values()))
        taken["backward"].append(backward - forward)
        taken["optimiser"].append(end - backward)
        taken["whole step"].append(end - begin)
    print(f"{sum(p.numel() for p in task.parameters() if p.requires_grad):,} trained weights")
    report("smollm_step", [Row(name, "s", median(own)) for name, own in taken.items()], **vars(options))


if __name__ == "__main__":
    main()
