"""What the Token Guide costs while captions are decoded, at Llama's vocabulary of 32,000.

    python -m benchmarks token_guide [--shape 7b|small|tiny] [--batch 8]

Guided decoding is timed as a whole, and in it every call of the guide and its making, so that two figures of
one run are compared. Weights are random; captions end at `--tokens` tokens.
"""

from __future__ import annotations

import argparse
import time

import torch

from benchmarks.record import Row, Stopwatch, finish, report
from benchmarks.shapes import batch, shaped
from earwitness.decoding.token_guide import TokenGuide, TokenGuideParameters


def main() -> None:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="7b" if gpu else "small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = "cuda" if gpu else "cpu"
    model = shaped("lamb", options.shape, device, torch.bfloat16 if gpu else torch.float32).eval()
    inputs = batch(model, options.batch, device)
    watch = Stopwatch()
    TokenGuide.__call__ = watch.around(TokenGuide.__call__)  # type: ignore[method-assign]
    TokenGuideParameters.processor = watch.around(TokenGuideParameters.processor)  # type: ignore[method-assign]
    rows = []
    for beams in (1, 3):
        shares, rates = [], []
        for _ in range(options.repeats + 1):
            watch.reset()
            begin = time.perf_counter()
            length = {"max_new_tokens": options.tokens, "min_new_tokens": options.tokens}
            model.caption(inputs["sound"], beams=beams, **length)
            finish()
            whole = time.perf_counter() - begin
            shares.append(100 * watch.seconds / whole)
            rates.append(options.batch / whole)
        share = sorted(shares[1:])[len(shares) // 2 - 1]
        rows.append(Row(f"share of decoding, {beams} beams", "%", share, wanted="<= 3"))
        rows.append(Row(f"guided captions, {beams} beams", "clips/s", max(rates)))
    report("token_guide", rows, shape=options.shape, batch=options.batch, tokens=options.tokens)


if __name__ == "__main__":
    main()
