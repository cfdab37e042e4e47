"""Positions of clips and captions in the language model's embedding space (LAMB, Table 2 and Fig. 2), and
which frames each stretch of sound was matched with (LAVCap's plan)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from earwitness.clips import Clip, FrameSampler
from earwitness.data.manifest import Row
from earwitness.decoding.words import normalise_caption
from earwitness.losses.modality_gap import centre_gap, modality_gap
from earwitness.media.reading import load_audio
from earwitness.model import AudioCaptioningModel
from earwitness.prefetch import BATCH_SIZE
from earwitness.runtime.torch_model import TorchModel, sound_of, video_of

COLOURS = {"sound": "#1f77b4", "captions": "#d62728"}


@dataclass
class Embedded:
    """Mean embeddings [N, D_llm] of clips and of their first captions; plans by clip id, [N_a, N_v]."""

    audio: torch.Tensor
    text: torch.Tensor
    plans: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@torch.inference_mode()
def embed_pairs(
    model: AudioCaptioningModel, rows: Iterable[Row], *, batch_size: int = BATCH_SIZE, plans: int = 0
) -> Embedded:
    """Rows with captions -> their embeddings. plans: of how many clips to keep the transport plan.

    A clip longer than the model's maximum is cut to its beginning. Raises MediaError.
    """
    sampler = FrameSampler.of(TorchModel(model).pictures)
    audio, text = [], []
    kept: dict[str, NDArray[np.float32]] = {}
    left = iter(rows)
    while part := list(islice(left, batch_size)):
        clips = [_clip(row, model, sampler) for row in part]
        h_a = model.listen(sound_of([clip.waveform for clip in clips], model.device))
        video = video_of([clip.frames for clip in clips], model.device) if sampler else None
        h, match = model.fuse(h_a, model.watch(video, h_a))
        ids, mask = model.language_model.encode_captions([normalise_caption(r.captions[0]) for r in part])
        audio.append(model.adapter(h).mean().float().cpu())
        weight = mask[..., None].to(torch.float32)
        text.append(((model.language_model.embed(ids) * weight).sum(1) / weight.sum(1)).float().cpu())
        if match is not None and video is not None:
            for row, plan in zip(part, match.log_plan.exp().cpu()):
                if len(kept) < plans:
                    kept[row.id] = _real(plan.numpy())
    return Embedded(torch.cat(audio), torch.cat(text), kept)


def gap_figures(embedded: Embedded) -> dict[str, Any]:
    """{"clips", "pairs": {l2, cosine}, "centres": {l2, cosine}}; see losses.modality_gap."""
    pairs, centres = (f(embedded.audio, embedded.text) for f in (modality_gap, centre_gap))
    numbers = {"pairs": pairs, "centres": centres}
    rounded = {name: {k: round(v.item(), 6) for k, v in values.items()} for name, values in numbers.items()}
    return {"clips": len(embedded.audio)} | rounded


def umap_picture(embedded: Embedded, path: Path) -> None:
    """Both kinds of embeddings, laid out in the plane by UMAP (McInnes et al. 2018) together.

    Raises ImportError that says what to install.
    """
    from earwitness.analysis.plots import new_figure

    try:
        from umap import UMAP
    except ImportError:
        raise ImportError("the UMAP picture needs umap-learn: pip install 'earwitness[plots]'") from None
    points = torch.cat([embedded.audio, embedded.text]).numpy()
    neighbours = max(2, min(15, len(points) - 1))
    layout = UMAP(n_neighbors=neighbours, random_state=0, init="random").fit_transform(points)
    figure = new_figure((5.0, 4.5))
    axes = figure.add_subplot()
    halves = zip(COLOURS.items(), (layout[: len(embedded.audio)], layout[len(embedded.audio) :]))
    for (name, colour), half in halves:
        axes.scatter(half[:, 0], half[:, 1], s=6, c=colour, label=name, alpha=0.6, linewidths=0)
    axes.legend(frameon=False)
    axes.set_xticks([])
    axes.set_yticks([])
    figure.savefig(path, dpi=200, bbox_inches="tight")


def plan_picture(plan: NDArray[np.float32], path: Path, title: str) -> None:
    """A transport plan [N_a, N_v] as an image: sound tokens down, frames across."""
    from earwitness.analysis.plots import new_figure

    figure = new_figure((4.5, 4.5))
    axes = figure.add_subplot()
    image = axes.imshow(plan, aspect="auto", cmap="viridis", interpolation="nearest")
    axes.set(xlabel="frame", ylabel="sound token", title=title)
    figure.colorbar(image, label="share of the mass")
    figure.savefig(path, dpi=150, bbox_inches="tight")


def write_gap(embedded: Embedded, out: Path) -> Iterator[Path]:
    """gap.json, umap.png and plans/ID.png in the folder `out`; yields each as it is written."""
    out.mkdir(parents=True, exist_ok=True)
    figures = out / "gap.json"
    figures.write_text(json.dumps(gap_figures(embedded), indent=1) + "\n", encoding="utf-8")
    yield figures
    for number, (name, plan) in enumerate(embedded.plans.items(), 1):
        picture = out / "plans" / f"{number}.png"
        picture.parent.mkdir(exist_ok=True)
        plan_picture(plan, picture, name)
        yield picture
    umap_picture(embedded, out / "umap.png")
    yield out / "umap.png"


def _clip(row: Row, model: AudioCaptioningModel, sampler: FrameSampler | None) -> Clip:
    end = row.start + model.config.max_seconds
    end = end if row.end is None else min(end, row.end)
    rate, resampler = model.encoder.sample_rate, model.resampler
    audio = load_audio(row.audio, rate, start=row.start, end=end, resampler=resampler)
    clip = Clip(audio.waveform, row.start, row.start + audio.duration, row.audio)
    return sampler(row.video, clip) if sampler and row.video else clip


def _real(plan: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the rows and columns of padding, which carry no mass."""
    return plan[plan.sum(1) > 0][:, plan.sum(0) > 0]
