"""Training steps of the four systems: clips a second, memory, share of the limit, and what their parts cost.

    python -m benchmarks training7b [--shape 7b|small|tiny] [--batch 32] [--checkpointing] [--threads 1]

At shape 7b (the default on a GPU) the frozen base is bfloat16 and LoRA fp32 under autocast; elsewhere all is
fp32. Weights are random. The baseline of DistillCaps is its step written plainly: each branch by itself, from
the waveform on. The limit is what the measured rate of matrix products would allow.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.limits import matmul_rate
from benchmarks.record import Row, report, side_by_side
from benchmarks.shapes import NEIGHBOURS, batch, shaped
from earwitness.config.preset import load_preset
from earwitness.config.stages import Losses
from earwitness.decoding.prompt import Prompt
from earwitness.losses.ot_alignment import ot_alignment_loss
from earwitness.model import AudioCaptioningModel
from earwitness.training.objective import CaptioningTask

Step = Callable[[], None]
WANTED = {"lamb": ">= 60 on an H200, batch 32", "distillcaps": ">= 40 on an H200"}


def stepper(model: AudioCaptioningModel, losses: Losses, inputs: dict[str, Any]) -> Step:
    """Forward and backward; the update of LoRA's few weights is left out."""
    task = CaptioningTask(model, losses).train()
    autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda")

    def step() -> None:
        with autocast:
            loss = task(**inputs)["loss"]
        loss.backward()
        task.zero_grad(set_to_none=True)

    return step


def operations(model: AudioCaptioningModel, inputs: dict[str, Any]) -> float:
    """Of a step: 2 a weight and token forward, 2 more for gradients that pass back through frozen weights.

    The adapter and the products inside attention are left out: a few in a hundred.
    """
    with torch.no_grad():
        h_a = model.listen(inputs["sound"])
        z_a = model.adapter(model.fuse(h_a, model.watch(inputs.get("video"), h_a))[0])
        prefixes = model.prefixes(z_a, h_a.values.shape[1], inputs.get("captions"))
    ids, head = inputs["ids"], model.language_model.token_table.numel()
    body = sum(p.numel() for p in model.language_model.parameters()) - 2 * head
    written = sum(int(prefix.mask.sum()) + ids.numel() for prefix in prefixes)
    encoder = model.encoder
    patches = h_a.values[..., 0].numel() * (encoder.bands // encoder.tokens_per_step)  # before any average
    heard = sum(p.numel() for p in encoder.parameters()) * patches
    passes = 2 if model.config.encoder.tune == "freeze" else 4
    return 4.0 * (body * written + head * ids.numel() * len(prefixes)) + passes * heard


def system_row(preset: str, options: argparse.Namespace, rate: float) -> list[Row]:
    device, dtype = options.device, options.dtype
    model = shaped(preset, options.shape, device, dtype)
    if options.checkpointing:
        model.language_model.model.gradient_checkpointing_enable()
    losses = load_preset(preset).stages[-1].losses
    informed = bool(losses.distillation)
    inputs = batch(model, options.batch, device, captions=informed)
    limit = options.batch * rate / operations(model, inputs)
    steps = {"ours": stepper(model, losses, inputs)}
    if informed:
        steps |= single_branches(model, inputs)
    if preset == "lavcap":
        steps["transport"] = transport(model, inputs)
    times = side_by_side(options.repeats, **steps)
    plain = times["student"] + times["informed"] if informed else None
    baseline = plain and options.batch / plain
    wanted = WANTED.get(preset, "")
    rows = [Row(preset, "clips/s", options.batch / times["ours"], baseline, limit, wanted, rate=True)]
    if informed:
        one = times["ours"] / times["informed"]
        rows.append(Row("  two branches / the one with retrieval", "x", one, wanted="<= 1.6"))
        one = times["ours"] / times["student"]
        rows.append(Row("  two branches / the one without", "x", one))
    if preset == "lavcap":
        share = 100 * times["transport"] / times["ours"]
        rows.append(Row("  plan and its loss, share of the step", "%", share, wanted="<= 5"))
    if device == "cuda":
        rows.append(Row("  peak memory", "GB", torch.cuda.max_memory_allocated() / 1e9))
        torch.cuda.reset_peak_memory_stats()
    return rows


def single_branches(model: AudioCaptioningModel, inputs: dict[str, Any]) -> dict[str, Step]:
    """Steps of either branch alone: the prompt without captions, and the one with them written out."""
    alone = {name: value for name, value in inputs.items() if name != "captions"}
    informed = copy.copy(model)
    written = model.retrieval_prompt.template.replace("<captions>", "\n\n".join(NEIGHBOURS))
    informed.prompt = Prompt(written)
    return {"student": stepper(model, Losses(), alone), "informed": stepper(informed, Losses(), alone)}


def transport(model: AudioCaptioningModel, inputs: dict[str, Any]) -> Step:
    """What optimal transport adds to a step: the plan, and the loss on it forward and backward."""
    with torch.no_grad():
        h_a = model.listen(inputs["sound"])
        h_v = model.watch(inputs["video"], h_a)
    audio = h_a._replace(values=h_a.values.clone().requires_grad_())

    def step() -> None:
        match = model.fusion.match(audio, h_v)  # type: ignore[operator]
        ot_alignment_loss(*match, 0.07).backward()

    return step


def main() -> None:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="7b" if gpu else "tiny")
    parser.add_argument("--batch", type=int, default=32 if gpu else 4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="one thread counts the processor's own time")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--systems", nargs="+", default=["lamb", "loae", "lavcap", "distillcaps"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.device = "cuda" if gpu else "cpu"
    options.dtype = torch.bfloat16 if gpu else torch.float32
    rate = matmul_rate(options.device, options.dtype)
    rows = [row for preset in options.systems for row in system_row(preset, options, rate)]
    settings = {name: getattr(options, name) for name in ("shape", "batch", "checkpointing")}
    report("training7b", rows, **settings, matmul_flops=rate)


if __name__ == "__main__":
    main()
