"""Captioning at the shape of the published systems, with random weights: clips a second, and the limit.

    python -m benchmarks decoding7b [--shape 7b|small|tiny] [--batches 1 8 32 128] [--beams 3] [--tokens 30]

The baseline is transformers' generate as the released code calls it, which computes the prompt once a beam.
The limit: every matrix product at the measured rate, or reading the weights once a step at the measured
bandwidth, whichever takes longer. Captions are forced to `--tokens` tokens.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from benchmarks.limits import bandwidth, matmul_rate
from benchmarks.record import Row, report, side_by_side
from benchmarks.shapes import batch, shaped
from earwitness.decoding.causal import CausalLanguageModel
from earwitness.decoding.packing import pack_right
from earwitness.embeds import Embeds
from earwitness.model import AudioCaptioningModel

SYSTEMS = {"lamb": [False], "loae": [False], "lavcap": [False], "distillcaps": [False, True]}
WANTED = ">= 60 on an H200"


class PlainLanguageModel(CausalLanguageModel):
    """Leaves the prompt to generate, which repeats it for each beam before computing it."""

    def _generation_inputs(self, prefix: Embeds, rows: int) -> dict[str, Any]:
        prefix = pack_right(prefix)
        values = prefix.values.to(self.token_table.dtype)
        return {"inputs_embeds": values, "attention_mask": prefix.mask.long()}


def seconds_at_least(
    model: AudioCaptioningModel, inputs: dict[str, Any], beams: int, tokens: int, limits: dict[str, float]
) -> float:
    """Of one batch: the encoder, the prompt, and every step, at the machine's limit."""
    with torch.inference_mode():
        h_a = model.listen(inputs["sound"])
        z_a = model.adapter(model.fuse(h_a, model.watch(inputs.get("video"), h_a))[0])
        prefix = model.prefixes(z_a, h_a.values.shape[1], inputs.get("captions"))[-1]
    parameters = list(model.language_model.parameters())
    weights = sum(p.numel() for p in parameters) - model.language_model.token_table.numel()
    held = sum(p.numel() * p.element_size() for p in parameters)
    encoder = model.encoder
    patches = h_a.values[..., 0].numel() * (encoder.bands // encoder.tokens_per_step)
    heard = 2 * sum(p.numel() for p in encoder.parameters()) * patches / limits["encoder_flops"]
    prompt = 2 * weights * int(prefix.mask.sum()) / limits["flops"]
    step = max(2 * weights * len(prefix.mask) * beams / limits["flops"], held / limits["bandwidth"])
    return heard + prompt + tokens * step


def system_rows(preset: str, options: argparse.Namespace, limits: dict[str, float]) -> list[Row]:
    model = shaped(preset, options.shape, options.device, options.dtype).eval()
    ours = model.language_model
    plain = PlainLanguageModel(ours.model, ours.tokenizer)
    rows = []
    for retrieval in SYSTEMS[preset]:
        for count in options.batches:
            inputs = batch(model, count, options.device, captions=retrieval)
            least = seconds_at_least(model, inputs, options.beams, options.tokens, limits)
            known = {name: inputs.get(name) for name in ("video", "captions")}

            def caption(language_model: CausalLanguageModel, inputs=inputs, known=known) -> None:
                model.language_model = language_model
                length = {"max_new_tokens": options.tokens, "min_new_tokens": options.tokens}
                model.caption(inputs["sound"], **known, beams=options.beams, **length)

            times = side_by_side(options.repeats, ours=lambda: caption(ours), plain=lambda: caption(plain))
            model.language_model = ours
            name = f"{preset}{' with retrieval' if retrieval else ''}, batch {count}"
            rates = [count / seconds for seconds in (times["ours"], times["plain"], least)]
            rows.append(Row(name, "clips/s", *rates, WANTED if count >= 32 else "", rate=True))
    return rows


def main() -> None:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="7b" if gpu else "tiny")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128, 256] if gpu else [1, 4])
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    options = parser.parse_args()
    options.device = "cuda" if gpu else "cpu"
    options.dtype = torch.bfloat16 if gpu else torch.float32
    limits = {
        "flops": matmul_rate(options.device, options.dtype),
        "encoder_flops": matmul_rate(options.device),
        "bandwidth": bandwidth(options.device),
    }
    rows = [row for preset in options.systems for row in system_rows(preset, options, limits)]
    settings = {name: getattr(options, name) for name in ("shape", "beams", "tokens")}
    report("decoding7b", rows, **settings, limits=limits)


if __name__ == "__main__":
    main()
