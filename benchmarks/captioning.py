"""The embedded default from file to caption: clips a second, and where the time goes.

    python -m benchmarks captioning [--batches 1 8 32] [--beams 1 3] [--threads 2]

Sounds are the examples, ten seconds each. "Python in steps" is what generation takes beside the network: beam
search, guides, the cache's bookkeeping.
"""

from __future__ import annotations

import argparse
from statistics import median

import torch

from benchmarks.mini import EXAMPLES, SECONDS, sounds
from benchmarks.record import Row, Stopwatch, fair_clock, report
from earwitness import Captioner
from earwitness.media.files import find_media
from earwitness.media.reading import load_audio


class Watched:
    """A captioner with a stopwatch on each stage."""

    def __init__(self, captioner: Captioner) -> None:
        model = captioner.model.network  # type: ignore[attr-defined]
        language_model = model.language_model
        self.captioner = captioner
        self.clock = fair_clock()
        self.watches = {
            name: Stopwatch() for name in ("all", "listen", "encoder", "adapter", "generate", "body", "head")
        }
        self._watch("all", model, "caption")
        self._watch("listen", model, "listen")
        self._watch("encoder", model.encoder, "encode_log_mel")
        self._watch("adapter", model.adapter, "forward")
        self._watch("generate", language_model, "generate")
        self._watch("body", language_model.model.base_model, "forward")
        self._watch("head", language_model.model.get_output_embeddings(), "forward")

    def _watch(self, name: str, part: object, method: str) -> None:
        setattr(part, method, self.watches[name].around(getattr(part, method)))

    def run(self, clips: list, beams: int) -> dict[str, float]:
        """Seconds of each stage, and the count of steps, in one call."""
        for watch in self.watches.values():
            watch.reset()
        begin = self.clock()
        self.captioner(clips, batch_size=len(clips), beams=beams)
        whole = self.clock() - begin
        took = {name: watch.seconds for name, watch in self.watches.items()}
        steps = self.watches["head"].calls
        network = took["body"] + took["head"]
        return {
            "whole": whole,
            "features": took["listen"] - took["encoder"],
            "encoder": took["encoder"],
            "adapter": took["adapter"],
            "network of prefill and steps": network,
            "Python in steps": took["generate"] - network,
            "the rest": whole - took["listen"] - took["adapter"] - took["generate"],
            "steps": steps,
        }


def rows_of(watched: Watched, count: int, beams: int, repeats: int) -> list[Row]:
    examples = sounds()
    clips = [examples[i % len(examples)] for i in range(count)]
    runs = [watched.run(clips, beams) for _ in range(repeats + 1)][1:]
    figures = {name: median(run[name] for run in runs) for name in runs[0]}
    where = f"batch {count}, beams {beams}"
    whole, steps = figures.pop("whole"), figures.pop("steps")
    rows = [Row(where, "clips/s", count / whole, rate=True)]
    rows += [Row(f"  {name}", "ms/clip", 1000 * seconds / count) for name, seconds in figures.items()]
    return [*rows, Row("  Python a step", "ms", 1000 * figures["Python in steps"] / steps)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    watched = Watched(Captioner.from_pretrained(options.model, runtime="torch"))
    files = list(find_media(EXAMPLES))
    begin = watched.clock()
    seconds = sum(load_audio(file, 16_000).duration for file in files)
    decoding = 1000 * (watched.clock() - begin) / seconds * SECONDS
    rows = [Row(f"decoding a file, for {SECONDS:g} s of sound", "ms/clip", decoding)]
    for count in options.batches:
        for beams in options.beams:
            rows += rows_of(watched, count, beams, options.repeats)
    report("captioning", rows, model=options.model or "mini", clock=watched.clock.__name__)


if __name__ == "__main__":
    main()
