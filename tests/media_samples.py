"""Media files made on the spot: what the tests of earwitness.media listen to."""

from __future__ import annotations

import io
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

# name -> (container for PyAV, codec) or (format, subtype) for soundfile, and the rate it is written at
SOUNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "wav8": ("WAV", "PCM_U8"),
    "wavfloat": ("WAV", "FLOAT"),
    "wavdouble": ("WAV", "DOUBLE"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_32"),
    "w64": ("W64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "flac24": ("FLAC", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
PYAV = {
    "m4a": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "flac"),
    "ts": ("mpegts", "aac"),
}
KINDS = [*SOUNDFILE, *PYAV]
LOSSY = {"wav8", "ogg", "opus", "mp3", "m4a", "webm", "ts"}


def rate_of(kind: str) -> int:
    return 48_000 if kind in {"opus", "webm", "ts", "m4a"} else 44_100


def tones(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """Float32 [channels, S]: a rising tone under a beat, another in each channel; never the same twice."""
    t = np.arange(round(seconds * rate)) / rate
    rows = []
    for c in range(channels):
        beat = 0.6 + 0.4 * np.sin(2 * np.pi * (1.3 + 0.5 * c) * t)
        rows.append(0.4 * beat * np.sin(2 * np.pi * (300.0 + 170.0 * c + 90.0 * t) * t))
    return np.stack(rows).astype(np.float32)


def encode(sound: np.ndarray, rate: int, kind: str) -> bytes:
    """[channels, S] -> the bytes of a file of that kind."""
    if kind in PYAV:
        return mux(kind_format=PYAV[kind][0], sound=sound, rate=rate, audio_codec=PYAV[kind][1])
    container, subtype = SOUNDFILE[kind]
    out = io.BytesIO()
    soundfile.write(out, sound.T, rate, format=container, subtype=subtype)
    return out.getvalue()


def mux(
    kind_format: str,
    sound: np.ndarray | None = None,
    rate: int = 48_000,
    audio_codec: str = "aac",
    levels: list[int] | None = None,
    fps: int = 10,
    size: tuple[int, int] = (96, 64),
    sound_from: float = 0.0,
    hole: tuple[float, float] | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """A container with sound, pictures or both.

    `levels`: one grey picture for each (its right third is white). `sound_from`: s on the clock at which
    sound begins. `hole`: (at, length) in s, a jump of the clock within the sound.
    """
    folder = tempfile.TemporaryDirectory()
    out = Path(folder.name, "out")  # a real file: mp4 is rewritten to put its index in front
    with folder, av.open(str(out), "w", format=kind_format, options=options or {}) as container:
        packets = []
        video = audio = None
        if levels is not None:
            video = container.add_stream({"mp4": "mpeg4", "flv": "flv"}.get(kind_format, "libvpx"), rate=fps)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            video.options = {"qscale": "2", "crf": "10", "b": "1M"}
        if sound is not None:
            audio = container.add_stream(
                audio_codec, rate=rate, layout="mono" if len(sound) == 1 else "stereo"
            )
        if video is not None:
            for i, level in enumerate(levels or []):
                picture = np.full((size[1], size[0], 3), level, np.uint8)
                picture[:, -size[0] // 3 :] = 255
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, fps)
                packets += video.encode(frame)
            packets += video.encode(None)
        if audio is not None and sound is not None:
            packets += encode_sound(audio, sound, rate, sound_from, hole)
        for packet in sorted(packets, key=lambda p: float((p.dts or 0) * p.time_base)):
            container.mux(packet)
        container.close()
        return out.read_bytes()


def encode_sound(stream, sound, rate, sound_from=0.0, hole=None):
    layout = "mono" if len(sound) == 1 else "stereo"
    context = stream.codec_context
    resampler = av.AudioResampler(format=context.format.name, layout=layout, rate=rate)
    packets = []
    for start in range(0, sound.shape[1], 960):
        block = np.ascontiguousarray(sound[:, start : start + 960])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        shift = sound_from + (hole[1] if hole and start >= hole[0] * rate else 0.0)
        frame.pts = start + round(shift * rate)
        for converted in resampler.resample(frame):
            packets += stream.encode(converted)
    return packets + list(stream.encode(None))
