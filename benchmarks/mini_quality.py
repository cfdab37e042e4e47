"""Quality of a captioner on recordings it never heard: composed scenes and single recordings.

    python -m benchmarks.mini_quality --model MODEL --bank BANK --captions CAPTIONS_DIR --count 512

Validation scenes: held-out recordings composed after AudioCaps validation captions. Prints CIDEr-D, METEOR,
variety, tag mAP, and R@10: how often a caption finds its own reference among 115 by text similarity.

--sentence-encoder: hub name or folder of a sentence-transformers model whose similarity is taken, such as
sentence-transformers/all-MiniLM-L6-v2 (90 MB). Without one the similarity is of word vectors learnt from the
caption texts (positive pointwise mutual information, then SVD): stricter, and for comparing runs only.

--recorded: each scene as a waveform, its room a convolution, through a codec, not as the spectrogram that
training sees: some three times as slow, and nearer to what a recording is.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.data import SceneData
from earwitness.data.shard_writing import encode_opus
from earwitness.features import HOP
from earwitness.media.reading import load_audio
from earwitness.metrics.sentence_encoder import SentenceEncoder
from earwitness.sample_rate import SAMPLE_RATE
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Scene
from earwitness.scenes.render import render_waveform
from earwitness.training.inputs.scene_data import SceneCollator, SceneSource
from earwitness.training.tag_metrics import mean_average_precision

Embed = Callable[[list[str]], np.ndarray]  # N texts -> unit vectors [N, D]
GALLERY = 115  # references a caption is looked up in


def words(text: str) -> list[str]:
    return [re.sub(r"(ing|ed|es|s)$", "", w) for w in re.findall(r"[a-z]+", text.lower())]


class WordVectors:
    """Captions of one clip are one document; words that share documents get near vectors."""

    def __init__(self, documents: list[list[str]], size: int = 150, vocabulary: int = 3000):
        counts: dict[str, int] = defaultdict(int)
        for doc in documents:
            for w in set(doc):
                counts[w] += 1
        kept = sorted(counts, key=lambda w: -counts[w])[:vocabulary]
        self.index = {w: i for i, w in enumerate(kept)}
        pairs = np.zeros((len(kept), len(kept)), np.float32)
        for doc in documents:
            ids = np.array(sorted({self.index[w] for w in doc if w in self.index}), np.int64)
            pairs[np.ix_(ids, ids)] += 1
        share = pairs.diagonal() / len(documents)
        pmi = np.log(np.maximum(pairs, 1e-9) / len(documents) / share[:, None] / share[None])
        u, s, _ = torch.svd_lowrank(torch.from_numpy(np.maximum(pmi, 0)), size)
        self.vectors = (u * s.sqrt()).numpy()
        self.weight = 1e-2 / (1e-2 + share)

    def embed(self, texts: list[str]) -> np.ndarray:
        out = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
        for i, text in enumerate(texts):
            ids = [self.index[w] for w in words(text) if w in self.index]
            if ids:
                out[i] = (self.vectors[ids] * self.weight[ids, None]).sum(0)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def recall_at(k: int, captions: list[str], references: list[str], embed: Embed, orders: int = 20) -> float:
    """Share of captions whose own reference is among the k nearest of its gallery.

    The mean over so many ways to deal all of them out to disjoint galleries.
    """
    similarity = embed(captions) @ embed(references).T
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(orders):
        order = rng.permutation(len(captions))
        for first in range(0, len(captions) - GALLERY + 1, GALLERY):
            part = order[first : first + GALLERY]
            among = similarity[np.ix_(part, part)]
            hits.append(((among > among.diagonal()[:, None]).sum(1) < k).mean())
    return float(np.mean(hits))


def word_vectors(folder: Path) -> WordVectors:
    documents: dict[str, list[str]] = defaultdict(list)
    for name, key in (("audiocaps_train.csv", "youtube_id"), ("clotho_development.csv", "file")):
        with (folder / name).open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                documents[row[key]].extend(words(row["caption"]))
    return WordVectors(list(documents.values()))


def recorded(scenes: list[Scene], bank: Bank) -> dict[str, torch.Tensor]:
    """Scenes of one length as the model hears files: mixed, encoded as Opus and decoded."""
    heard = [load_audio(io.BytesIO(encode_opus(render_waveform(s, bank))), SAMPLE_RATE) for s in scenes]
    waveforms = np.stack([np.resize(sound.waveform, scenes[0].frames * HOP) for sound in heard])
    return {
        "waveforms": torch.from_numpy(waveforms),
        "lengths": torch.full((len(scenes),), waveforms.shape[1]),
    }


@torch.no_grad()
def evaluate(
    model, source: SceneSource, count: int, embed: Embed | None, *, as_files: bool = False, **decoding
) -> dict[str, float]:
    composer = source.composer(validation=True)
    collate = SceneCollator(composer, model.encoder.compute_log_mel, None, masks=False)
    captions, references, scores, truths = [], [], [], []
    for first in range(0, count, 32):
        indices = list(range(first, min(first + 32, count)))
        batch = collate(indices)
        scenes = [composer.plan(i) for i in indices]
        references += [scene.caption.lower() for scene in scenes]
        sound = recorded(scenes, source.bank) if as_files else batch["sound"]
        decoded = model.caption(sound, **decoding)
        captions += decoded.texts
        scores.append(decoded.tags)
        truths.append(batch["token_tags"].amax(1))
    result = {
        "tag_map": mean_average_precision(torch.cat(scores), torch.cat(truths)),
        "distinct": len(set(captions)) / len(captions),
        "words": float(np.mean([len(c.split()) for c in captions])),
    }
    if embed:
        result["r_at_10"] = recall_at(10, captions, references, embed)
        result["constant_r_at_10"] = recall_at(10, ["a man is speaking"] * len(captions), references, embed)
    try:
        from earwitness.metrics import score

        report = score(captions, [[r] for r in references], metrics=["cider_d", "meteor", "bleu_1"])
        result |= {k: float(v) for k, v in report.corpus.items()}
    except (ImportError, ValueError, RuntimeError, FileNotFoundError) as error:
        result["metrics_missing"] = str(error)  # type: ignore[assignment]
    for reference, caption in list(zip(references, captions))[:12]:
        print(f"  {reference}\n    -> {caption}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/banks"))
    parser.add_argument("--captions", type=Path, required=True)
    parser.add_argument("--count", type=int, default=460)
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--no-guide", action="store_true")
    parser.add_argument("--sentence-encoder", help="hub name or folder of the one that R@10 is taken with")
    parser.add_argument("--recorded", action="store_true", help="waveforms through a codec")
    options = parser.parse_args()
    section = SceneData(
        kind="scenes",
        bank=str(options.bank),
        captions=[str(options.captions / "audiocaps_train.csv")],
        validation_captions=[str(options.captions / "audiocaps_val.csv")],
        count=1,
    )
    source = SceneSource(section, Bank.open(options.bank, options.cache))
    result = evaluate(
        load_checkpoint(options.model),
        source,
        options.count,
        SentenceEncoder(options.sentence_encoder)
        if options.sentence_encoder
        else word_vectors(options.captions).embed,
        as_files=options.recorded,
        beams=options.beams,
        use_guide=not options.no_guide,
    )
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
