"""EfficientAT's MobileNetV3 taggers of AudioSet, as an audio encoder.

F. Schmid, K. Koutini, G. Widmer: "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge
Distillation", ICASSP 2023, arXiv:2211.04772. The published `.pt` files load as they are.

Log-mel [B, 128, F] -> convolutions that shrink time and frequency 32 times -> one token per 320 ms, the mean
over frequency of the last feature map. A head over the mean of a clip's tokens gives its tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.embeds import Embeds, length_mask
from earwitness.encoders.audioset import CLASSES, audioset_classes
from earwitness.encoders.checkpoints import State, find_weights, read_state
from earwitness.encoders.freezable import Freezable
from earwitness.encoders.inverted_residual import (
    BlockShape,
    ConvNorm,
    InvertedResidual,
    multiple_of_eight,
)
from earwitness.features import efficient_at_frame_counts, efficient_at_log_mel, full_lengths
from earwitness.levelling import levelled
from earwitness.sample_rate import SAMPLE_RATE
from earwitness.weights.copying import copy_weights
from earwitness.weights.errors import CheckpointError

WIDTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0)  # the published ones are among them
MOBILENET_V3_LARGE = tuple(
    BlockShape(*shape)  # kernel, expanded, out, squeeze, hard swish, stride: Howard et al. 2019, Table 1
    for shape in (
        (3, 16, 16, False, False, 1),
        (3, 64, 24, False, False, 2),
        (3, 72, 24, False, False, 1),
        (5, 72, 40, True, False, 2),
        (5, 120, 40, True, False, 1),
        (5, 120, 40, True, False, 1),
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 480, 112, True, True, 1),
        (3, 672, 112, True, True, 1),
        (5, 672, 160, True, True, 2),
        (5, 960, 160, True, True, 1),
        (5, 960, 160, True, True, 1),
    )
)
STEM_WIDTH, HEAD_WIDTH = 16, 1280  # channels of the first convolution and of the classifier's hidden layer
LAST_EXPANSION = 6  # the last 1x1 convolution widens the last block's output six times
TOKEN_FRAMES = 32  # 320 ms of 10 ms frames: five halvings
LOCAL_TOKENS = 5  # tags of a moment are those of the 1.6 s around it
ABSENT = -4.0  # logit at which the tags of random weights begin: most tags are absent


def block_widths(width: float, expansion: float) -> list[tuple[int, int, int]]:
    """Channels of each block: (in, expanded, out)."""
    widths, previous = [], multiple_of_eight(STEM_WIDTH * width)
    for shape in MOBILENET_V3_LARGE:
        expanded, out = multiple_of_eight(shape.expanded * width), multiple_of_eight(shape.out * width)
        if expanded != previous:
            expanded = multiple_of_eight(expanded * expansion)
        widths.append((previous, expanded, out))
        previous = out
    return widths


class MobileNet(nn.Module):
    """The authors' network, under their names: features [B, 1, 128, F] -> maps -> tag logits.

    width: multiplies every channel count (the published mn04 to mn40). expansion: multiplies the channels
    inside the blocks only; ours: a student with wider blocks fits a teacher's blocks sooner.
    """

    def __init__(self, *, width: float, classes: int, expansion: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        blocks = block_widths(width, expansion)
        self.dim, hidden = LAST_EXPANSION * blocks[-1][2], multiple_of_eight(HEAD_WIDTH * width)
        self.features = nn.ModuleList(
            [
                ConvNorm(1, blocks[0][0], 3, 2, activation=nn.Hardswish()),
                *(InvertedResidual(*sizes, shape) for sizes, shape in zip(blocks, MOBILENET_V3_LARGE)),
                ConvNorm(blocks[-1][2], self.dim, activation=nn.Hardswish()),
            ]
        )
        self.classifier = nn.Sequential(
            nn.Identity(),  # the authors' pooling and flattening: the numbers of the layers below count them
            nn.Identity(),
            nn.Linear(self.dim, hidden),
            nn.Hardswish(),
            nn.Dropout(dropout),
            tags := nn.Linear(hidden, classes),
        )
        nn.init.constant_(tags.bias, ABSENT)

    def maps(self, x: Tensor, mask: Tensor | None = None) -> list[tuple[Tensor, Tensor | None]]:
        """The output [B, C, bands, T] of every layer of `features`, and its mask [B, T] of real frames."""
        outputs = []
        for layer in self.features:
            x, mask = layer(x, mask)
            outputs.append((x, mask))
        return outputs

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The last of `maps`: [B, dim, 4, ceil(F / 32)] and its mask."""
        for layer in self.features:
            x, mask = layer(x, mask)
        return x, mask


class MobileNetEncoder(Freezable):
    """Waveforms [B, S] -> Embeds [B, ceil(F / 32), dim] and AudioSet tags, F frames of 10 ms.

    width, expansion: see MobileNet. sample_rate: 32,000 Hz as published, or 16,000, at which a published
    network uses nothing above 8 kHz. tags: names of the classes (default: AudioSet's 527). level: set every
    clip to the same peak (levelling.py); ours, the authors do not. Batch norms in training count
    padded frames as silence of average loudness.
    """

    token_frames = TOKEN_FRAMES

    def __init__(
        self,
        *,
        width: float = 0.4,
        expansion: float = 1.0,
        sample_rate: int = SAMPLE_RATE,
        tags: Sequence[str] = (),
        level: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.tag_names, self.sample_rate = list(tags or audioset_classes()), sample_rate
        self.level = level
        self.network = MobileNet(
            width=width, classes=len(self.tag_names), expansion=expansion, dropout=dropout
        )
        self.dim = self.network.dim

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Embeds:
        """waveforms: [B, S] in [-1, 1] at `sample_rate`. lengths: [B] real samples (default: all)."""
        return self.encode_log_mel(*self.compute_log_mel(waveforms, lengths))

    @property
    def front_end(self) -> str:
        """Its name in runtime/spectrogram.py."""
        return "levelled_efficient_at_log_mel" if self.level else "efficient_at_log_mel"

    def compute_log_mel(self, waveforms: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The front end alone, for loaders: waveforms [B, S] -> log-mel [B, 128, F], frames [B]."""
        if lengths is None:
            lengths = full_lengths(waveforms)
        lengths = lengths.to(waveforms.device)
        if self.level:
            waveforms = levelled(waveforms, lengths)
        log_mel = efficient_at_log_mel(waveforms, lengths, self.sample_rate)
        return log_mel, efficient_at_frame_counts(lengths, self.sample_rate)

    def encode_log_mel(self, log_mel: Tensor, frames: Tensor | None = None) -> Embeds:
        """As forward, from log-mel [B, 128, F] and real frames [B] (default: all)."""
        x, mask = self.network(*self.network_input(log_mel, frames))
        tokens = x.mean(2).transpose(1, 2)  # [B, N, dim]
        return Embeds.full(tokens) if mask is None else Embeds(tokens, mask)

    @staticmethod
    def network_input(log_mel: Tensor, frames: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Log-mel [B, 128, F] -> [B, 1, 128, F] with zeros at padding, and the mask [B, F] or None."""
        x = log_mel[:, None].contiguous(memory_format=torch.channels_last)
        if frames is None or bool((frames >= log_mel.shape[-1]).all()):
            return x, None
        mask = length_mask(frames.to(x.device), x.shape[-1])
        return x.masked_fill(~mask[:, None, None], 0.0), mask

    def tag_logits(self, h_a: Embeds) -> Tensor:
        """Tag logits of every token, [B, N, tags]: the head on the mean of the real tokens within 0.8 s."""
        weight = h_a.mask[:, None].to(h_a.values.dtype)  # [B, 1, N]
        values = h_a.values.transpose(1, 2) * weight
        around = lambda x: F.avg_pool1d(x, LOCAL_TOKENS, 1, LOCAL_TOKENS // 2)  # noqa: E731
        local = around(values) / around(weight).clamp(min=1e-6)
        return self.network.classifier(local.transpose(1, 2))

    def clip_tag_logits(self, h_a: Embeds) -> Tensor:
        """Tag logits of every clip, [B, tags], as the authors compute them: the head on the clip's mean."""
        return self.network.classifier(h_a.mean())

    def tag_probabilities(self, h_a: Embeds) -> Tensor:
        """Probability that each tag sounds in the clip: [B, tags]."""
        return self.clip_tag_logits(h_a).sigmoid()


def sizes_of(state: State) -> dict[str, float]:
    """Width and expansion of a network's state dict. Raises ValueError if it is none of this family."""
    needed = {"features.0.0.weight", "features.15.block.0.0.weight", "features.16.0.weight"}
    if missing := sorted(needed - state.keys()):
        raise ValueError(f"not the weights of an EfficientAT MobileNet: no {', '.join(missing)}")
    stem, expanded, dim = (len(state[name]) for name in sorted(needed))
    for width in WIDTHS:
        last = block_widths(width, 1.0)[-1]
        if (multiple_of_eight(STEM_WIDTH * width), LAST_EXPANSION * last[2]) == (stem, dim):
            return {"width": width, "expansion": expanded / last[1]}
    raise ValueError(f"no known width has {stem} channels at the start and {dim} at the end")


def load_mobilenet(
    path_or_name: str | Path, *, sample_rate: int = SAMPLE_RATE, tags: Sequence[str] = (), level: bool = False
) -> MobileNetEncoder:
    """A MobileNetEncoder with published weights (`mn04_as_mAP_432.pt`), in evaluation mode.

    path_or_name: the file, or a folder with it. tags: names of its classes, where they are not AudioSet's.
    Raises FileNotFoundError, or ValueError (CheckpointError) naming the tensors that do not fit.
    """
    file = find_weights(path_or_name)
    state = read_state(file)
    try:
        sizes = sizes_of(state)
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from None
    classes = len(state["classifier.5.bias"]) if "classifier.5.bias" in state else CLASSES
    if classes != len(tags or audioset_classes()):
        raise CheckpointError(f"{file} has {classes} classes: name them in `tags`")
    encoder = MobileNetEncoder(**sizes, sample_rate=sample_rate, tags=tags, level=level)
    copy_weights(state, encoder.network.state_dict(), file)
    return encoder.eval()
