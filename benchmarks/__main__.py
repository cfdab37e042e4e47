"""Benchmarks of earwitness: python -m benchmarks [NAME [options of NAME]]; without a name, all of them.

Each runs in a process of its own, prints a table and appends a JSON line to benchmarks/results/.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

BENCHMARKS = {
    "mini": "the embedded default: clips a second, latency, start, memory, an hour of sound",
    "runtime": "ONNX Runtime against torch: equal captions, and the time of both",
    "front_end": "decoding, resampling, log-mel and CED against a plain implementation",
    "captioning": "the embedded default from file to caption: where the time goes",
    "growth": "cost of 1, 10 and 100 times the clips, and of 10, 60 and 600 s",
    "decoding7b": "captioning at the shape of Llama-2-7B",
    "training7b": "training steps at the shape of Llama-2-7B",
    "smollm_step": "a training step of LAMB on SmolLM2-135M, part by part",
    "optimal_transport": "Sinkhorn against a loop over clips",
    "token_guide": "the Token Guide's share of decoding",
    "cs_divergence": "Cauchy-Schwarz divergence at a batch of 4096",
    "retrieval": "nearest captions among a million",
    "parts": "what pictures, retrieval, re-ranking and correction add to a clip",
    "metrics": "the default metrics",
    "loader": "the data loader",
    "timeline": "boundaries of timelines, an hour and ten, a video of 2 GB",
    "archive": "ten thousand files captioned by a command that is killed three times",
    "first_line": "how soon the server answers a one-hour upload",
    "server": "the HTTP server under load and under attack, against the batch engine",
}


def main() -> int:
    name, *options = sys.argv[1:] or ["all"]
    if name in ("-h", "--help") or (name != "all" and name not in BENCHMARKS):
        print(__doc__.strip(), "\n", *(f"  {n:18}{what}" for n, what in BENCHMARKS.items()), sep="\n")
        return int(name not in ("-h", "--help"))
    failed = []
    for one in BENCHMARKS if name == "all" else [name]:
        if find_spec(f"benchmarks.{one}") is None:
            print(f"{one}: this checkout has no benchmarks/{one}.py")
            failed.append(one)
            continue
        print(f"\n== {one}: {BENCHMARKS[one]}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{one}", *options]).returncode:
            failed.append(one)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
