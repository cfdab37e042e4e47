"""What pictures, retrieval, re-ranking and correction add to a clip of ten seconds.

    python -m benchmarks parts [--clips 2] [--captions 50000] [--beams 3] [--threads 1]

Models have random weights at the published shapes: CLAP (HTSAT, 512 wide), BERT-base for the error detector,
CLIP ViT-L/14. The corrector's own time is that of its language model, for captions that read as faulty alone.
Seconds are the process's own.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.mini import EXAMPLES, sounds
from benchmarks.record import Row, report, side_by_side
from earwitness import Captioner
from earwitness.media.video import sample_frames
from earwitness.retrieval import CaptionDatastore, ClapEmbedder
from earwitness.retrieval.embedders import unit

RATE = 16_000
TEXT = "a man speaks while a dog barks in the distance and birds chirp"


class UntrainedClap(ClapEmbedder):
    """CLAP of random weights."""

    def _load(self) -> tuple[Any, Any, Any]:
        if self._loaded is None:
            from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

            model = ClapModel(ClapConfig()).eval()
            self._loaded = model, roberta_tokenizer(), ClapFeatureExtractor(truncation="rand_trunc")
        return self._loaded


def roberta_tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([TEXT], 400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    with TemporaryDirectory() as folder:
        bpe.save_model(folder)
        return RobertaTokenizerFast(vocab=f"{folder}/vocab.json", merges=f"{folder}/merges.txt")


def error_detector() -> Any:
    from transformers import BertConfig, BertModel, BertTokenizer

    from earwitness.correction import ErrorDetector

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({*TEXT.split()})]
    with TemporaryDirectory() as folder:
        vocabulary = Path(folder, "vocab.txt")
        vocabulary.write_text("\n".join(words))
        return ErrorDetector(BertModel(BertConfig()), BertTokenizer(vocab=str(vocabulary))).eval()


def frame_encoder() -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from earwitness.encoders.frames import FrameEncoder

    vit_l = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        patch_size=14,
        projection_dim=768,
    )
    return FrameEncoder(CLIPVisionModelWithProjection(vit_l)).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--captions", type=int, default=50_000, help="in the datastore; AudioCaps has 49,838")
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clips = sounds()[: options.clips]
    captioner, clap, detector = Captioner.from_pretrained(device="cpu"), UntrainedClap(), error_detector()
    names = [str(i) for i in range(options.captions)]
    vectors = unit(np.random.default_rng(0).standard_normal((options.captions, 512), dtype=np.float32))
    store = CaptionDatastore(names, names, vectors, embedder=clap)
    heard, texts = clap.embed_audio(clips, RATE), [TEXT] * len(clips)
    see = torch.inference_mode()(frame_encoder())
    film = EXAMPLES / "street.mp4"
    forms = {
        "the embedded model alone": lambda: captioner(clips, batch_size=len(clips), beams=options.beams),
        "CLAP hears the clip": lambda: clap.embed_audio(clips, RATE),
        f"nearest of {options.captions} captions": lambda: store.retrieve(heard, 3),
        f"CLAP reads {options.beams} beams": lambda: clap.embed_text(texts * options.beams),
        "the error detector reads a caption": lambda: detector.error_probability(texts),
        "pictures of a video": lambda: [sample_frames(film, 2.0, size=224) for _ in clips],
        "CLIP sees one picture of 20": lambda: see(torch.zeros(len(clips), 1, 3, 224, 224)),
    }
    times = side_by_side(options.repeats, time.process_time, **forms)
    rows = [Row(name, "ms/clip", 1000 * seconds / len(clips)) for name, seconds in times.items()]
    report("parts", rows, **vars(options))


if __name__ == "__main__":
    main()
