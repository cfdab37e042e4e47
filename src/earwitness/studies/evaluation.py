"""Captions of a manifest's clips, scored: what `earwitness evaluate` and `earwitness study` do."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.atomic_write import atomic_write_text
from earwitness.captioner import Captioner
from earwitness.captions import Caption
from earwitness.clips import TOLERANCE, Clip, loudest
from earwitness.data.manifest import Manifest, Row
from earwitness.media.containers import MediaError
from earwitness.media.reading import load_audio
from earwitness.metrics.evaluation import checked, score
from earwitness.metrics.report import Report
from earwitness.metrics.sounds import Sound
from earwitness.prefetch import map_ahead
from earwitness.retrieval import CaptionDatastore
from earwitness.studies.evaluation_folder import CAPTIONS, REPORT, CaptionFile, add_time, open_folder


@dataclass(frozen=True)
class Options:
    """How a split is captioned. retrieved: whether the manifest's column of that name is shown to the model.

    decoding: of `LanguageModel.generate`, and use_guide. seed: of sampling.
    """

    batch_size: int = 16
    workers: int = 1
    retrieved: bool = False
    decoding: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass
class Evaluated:
    """The report; id -> why a clip has no caption; id -> seconds of a clip that was cut; the time taken."""

    report: Report
    rows: list[Row]
    failures: dict[str, str]
    cut: dict[str, float]
    timing: dict[str, float]
    captions: list[str]  # of the rows
    corrected: int  # captions of the folder that a corrector changed


def read_split(data: Path) -> list[Row]:
    """The rows of a manifest; they must have unique ids, and captions to be scored against."""
    rows = list(Manifest.open(data))
    double = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
    if double:
        raise ValueError(f"{data}: {len(double)} ids are in several rows, the first is {double[0]!r}")
    if not any(row.captions for row in rows):
        raise ValueError(f"{data}: no row has captions to judge by")
    return rows


def evaluate_split(
    load: Callable[[], Captioner],
    rows: Sequence[Row],
    folder: Path,
    settings: dict[str, Any],
    options: Options,
    metrics: str,
    measures: dict[str, Any],
    progress: Callable[[float, float], None] = lambda done, seconds: None,
) -> Evaluated:
    """Captions the rows and scores them; a folder that holds some captions already is completed.

    load: the captioner, called only where a caption is missing. settings: what the folder's captions depend
    on. measures: settings of `score`. progress: called with clips done and seconds captioned since. Raises
    ValueError for metrics or measures that `score` does not have, and if no clip could be captioned.
    """
    checked(metrics, measures)
    failures: dict[str, str] = {}
    with CaptionFile(open_folder(folder, settings) / CAPTIONS) as captions:
        todo = [row for row in rows if row.id not in captions.texts]
        captioner = load() if todo else None
        if captioner is not None and captioner.datastore is not None:
            _refuse_own_captions(captioner.datastore, todo)
        before, start = len(captions.texts), time.perf_counter()
        try:
            if captioner is not None:
                if options.decoding.get("do_sample"):
                    _seed(options.seed)
                for row, caption, cut_from in caption_rows(captioner, todo, failures, options, progress):
                    captions.add(row.id, caption, captioner.name, cut_from)
        finally:
            timing = add_time(folder, len(captions.texts) - before, time.perf_counter() - start)
    scored = [row for row in rows if row.id in captions.texts and row.captions]
    report = _scored(scored, captions, metrics, measures)
    figures = report.to_dict() | {"timing": timing}
    atomic_write_text(folder / REPORT, json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
    texts = [captions.texts[row.id] for row in scored]
    return Evaluated(report, scored, failures, captions.cut, timing, texts, len(captions.corrected))


def _refuse_own_captions(store: CaptionDatastore, rows: Sequence[Row]) -> None:
    """Raises ValueError where a clip would be shown its own captions, by which it is judged."""
    held = set(store.clip_ids)
    if own := [row.id for row in rows if row.id in held]:
        raise ValueError(
            f"the datastore holds captions of {len(own)} of these clips, the first is {own[0]!r}: make one "
            "of other clips, or show the model a column `retrieved`, for which `earwitness retrieve` leaves "
            "a clip's own captions out"
        )


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def caption_rows(
    captioner: Captioner,
    rows: Sequence[Row],
    failures: dict[str, str],
    options: Options,
    progress: Callable[[float, float], None],
) -> Iterator[tuple[Row, Caption, float | None]]:
    """Each row's caption, in order, with the seconds of the whole clip where only a window was captioned.

    Of a row without a caption the reason goes into `failures`.
    """
    waiting: deque[tuple[Row, float | None]] = deque()

    def clips() -> Iterator[Clip]:
        def read(row: Row) -> tuple[Clip, float | None] | MediaError:
            try:
                return clip_of(row, captioner, retrieved=options.retrieved)
            except MediaError as error:
                return error

        loaded = map_ahead(read, rows, workers=options.workers, most=2 * options.batch_size)
        for row, found in zip(rows, loaded):
            if isinstance(found, MediaError):
                failures[row.id] = found.reason
            else:
                waiting.append((row, found[1]))
                yield found[0]

    made = captioner.caption_clips(clips(), batch_size=options.batch_size, **options.decoding)
    for done, caption in enumerate(made, 1):
        row, cut_from = waiting.popleft()
        assert caption is not None  # only read clips are handed over
        progress(done, caption.end - caption.start)
        yield row, replace(caption, source=row.audio), cut_from


def clip_of(row: Row, captioner: Captioner, *, retrieved: bool) -> tuple[Clip, float | None]:
    """A row as a clip, and the seconds it lasts if only its loudest window is in the clip. Raises
    MediaError.
    """
    audio = load_audio(
        row.audio, captioner.sample_rate, start=row.start, end=row.end, resampler=captioner.model.resampler
    )
    clip = Clip(audio.waveform, row.start, row.start + audio.duration, row.audio)
    cut_from = None
    if audio.duration > captioner.max_seconds + TOLERANCE:
        clip, cut_from = loudest(clip, captioner.max_seconds, captioner.sample_rate), audio.duration
    if retrieved and captioner.model.retrieved_captions:
        clip = replace(clip, captions=row.retrieved or ())
    network = getattr(captioner.model, "network", None)  # ONNX models watch nothing
    vision = None if network is None else network.config.vision
    if row.video is None or vision is None:
        return clip, cut_from
    if Path(row.video).suffix == ".npy":
        return replace(clip, frames=_features(row, clip, vision.frames_per_second)), cut_from
    return (captioner.sampler(row.video, clip) if captioner.sampler else clip), cut_from


def _features(row: Row, clip: Clip, rate: float) -> np.ndarray:
    """Features of the frames in a clip, [N, D]; those of the file begin at the row's start."""
    features = np.load(row.video or "", mmap_mode="r", allow_pickle=False)
    first, last = (round((t - row.start) * rate) for t in (clip.start, clip.end))
    return np.array(features[first : max(last, first + 1)], np.float32)


def _scored(rows: Sequence[Row], captions: CaptionFile, metrics: str, measures: dict[str, Any]) -> Report:
    if not rows:
        raise ValueError(
            "no clip that has captions to judge by could be captioned: there is nothing to score"
        )
    report = score(
        [captions.texts[row.id] for row in rows],
        [row.captions for row in rows],
        metrics,
        ids=[row.id for row in rows],
        audio=sounds(rows),
        **measures,
    )
    if cut := sum(row.id in captions.cut for row in rows):
        report.signature += f"|cut:{cut}"
    return report


def sounds(rows: Sequence[Row]) -> list[Sound]:
    """What the captions of the rows are about, in order."""
    return [Sound(row.audio, row.start, row.end) for row in rows]
