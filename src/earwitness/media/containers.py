"""Open untrusted media files.

Only self-contained formats are read: no playlists, no addresses, no external references, no devices.
Whatever is not media becomes a MediaError that names the file, the reason and, where there is one, the
remedy.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import av

from earwitness.media.source import media_of, name_of, track_of
from earwitness.media.wav import with_pad_bytes

# Demuxers that recognise one self-contained file by its content. Left out on purpose: hls, dash, concat,
# sdp and image sequences (they open other files), devices, and headerless PCM, AMR or GSM (they take any
# bytes for sound).
FORMATS = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,ac3,eac3,amr,ape,wv,tta,dsf,dts,truehd,voc,sox,"
    "mov,matroska,avi,mpegts,mpeg,flv,asf,rm,mxf,dv"
)
# Bare streams whose header holds no length: FFmpeg guesses the duration from the bit rate.
BARE_FORMATS = frozenset(["aac", "ac3", "eac3", "amr", "dts", "truehd"])
IO_BUFFER = 1 << 18  # bytes: FFmpeg's 32 KiB would cost eight times as many calls into Python
PROBED_PACKETS = 16  # of a stream that may not be what it says (AC-3 in WAV): FFmpeg's 2500 cost 3 ms
IO_TIMEOUT = 60.0  # s without progress inside one read
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 63
MAX_PIXELS = 1 << 26  # of one picture
FLAC_UNKNOWN = 2**36 - 1  # samples: all ones, which some encoders write for an unknown number
# What a name ends in -> the headerless format that FFmpeg reads with `-f`, and its usual name.
HEADERLESS = {
    ".gsm": ("gsm", "GSM 06.10"),
    ".ul": ("mulaw", "mu-law"),
    ".ulaw": ("mulaw", "mu-law"),
    ".al": ("alaw", "A-law"),
    ".alaw": ("alaw", "A-law"),
    ".raw": ("s16le", "PCM"),
    ".pcm": ("s16le", "PCM"),
    ".sln": ("s16le", "PCM"),
    ".g722": ("g722", "G.722"),
    ".g729": ("g729", "G.729"),
}
ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC

DECODE_ERRORS = (av.FFmpegError, ValueError, OSError, MemoryError)  # what PyAV raises on damaged input


class MediaError(ValueError):
    """A file that cannot be read as sound or pictures: says which, why, and what would help.

    Attributes: `path` (the file's name, or "<bytes>", "<array>", ...) and `reason`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):  # both arguments survive pickling between worker processes
        return type(self), (self.path, self.reason)


@contextlib.contextmanager
def open_container(source: Any) -> Iterator[Any]:
    """An open PyAV input container that reads nothing but `source` (path, bytes or binary file object)."""
    with open_file(source) as file, _open_wav(file, name_of(source)) as container:
        yield container


@contextlib.contextmanager
def open_file(source: Any) -> Iterator[Any]:
    """A source (path, bytes or binary file object) as a file. Raises MediaError if it is none."""
    media = media_of(source)
    file = _open_file(media, name_of(source))
    try:
        yield file
    finally:
        if file is not media:  # the caller's own file object stays open
            file.close()


def _open_wav(file: Any, name: str) -> Any:
    """Any container; a WAV file that lacks pad bytes is opened as if it had them."""
    try:
        return _open_av(file, name)
    except MediaError:
        try:
            padded = with_pad_bytes(file)
        except (OSError, TypeError, ValueError, AttributeError):  # not a binary file that seeks
            padded = None
        if padded is None:
            raise
        return _open_av(padded, name)


def _open_av(file: Any, name: str) -> Any:
    try:
        return av.open(
            file,
            mode="r",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={
                "format_whitelist": FORMATS,
                "protocol_whitelist": "file",
                "max_probe_packets": str(PROBED_PACKETS),
            },
            metadata_errors="replace",
            buffer_size=IO_BUFFER,
            timeout=IO_TIMEOUT,
            io_open=_refuse_reference,
        )
    except (*DECODE_ERRORS, TypeError, AttributeError) as error:  # the last two: not a binary file object
        if kind := HEADERLESS.get(Path(name).suffix.lower()):
            raise MediaError(name, _headerless(name, *kind)) from error
        raise MediaError(name, f"is not a media file that can be read ({_short(error)})") from error


def _headerless(name: str, format: str, kind: str) -> str:
    return (
        f"is headerless {kind} sound by its name: nothing in it says the rate, which is not guessed here; "
        f"convert it, for example: ffmpeg -f {format} -ar 8000 -i {Path(name).name} {Path(name).stem}.wav"
    )


def _open_file(media: Any, name: str) -> Any:
    if isinstance(media, bytes | bytearray | memoryview):
        if len(media) == 0:
            raise MediaError(name, "is empty (0 bytes)")
        return io.BytesIO(media)
    if hasattr(media, "read"):
        return media
    if not isinstance(media, str | os.PathLike):
        raise MediaError(name, f"cannot read sound from a {type(media).__name__}")
    path = os.fsdecode(media)
    if "://" in path[:16]:
        raise MediaError(name, "addresses are not fetched; download the file and pass its path")
    try:
        _check_path(Path(path), name)
        return Path(path).open("rb")
    except MediaError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise MediaError(name, f"cannot be opened ({_short(error)})") from error


def _check_path(path: Path, name: str) -> None:
    if path.is_dir():
        raise MediaError(name, "is a folder; pass the files in it (find_media lists them)")
    if not path.exists():
        raise MediaError(name, "no such file")
    if not path.is_file():  # a pipe would be waited for, a device never ends
        raise MediaError(name, "is not a regular file")
    if path.stat().st_size == 0:
        raise MediaError(name, "is empty (0 bytes)")


def _refuse_reference(url: str, flags: int, options: dict) -> NoReturn:
    raise PermissionError(f"external reference refused: {url!r}")


def pictures(container: Any) -> list[Any]:
    """The video streams that move: cover art is none."""
    return [s for s in container.streams.video if not s.disposition & ATTACHED_PICTURE]


def audio_stream(container: Any, source: Any) -> Any:
    """The audio track that the source names, else the one that FFmpeg ranks first, its header checked.

    Raises MediaError if there is none.
    """
    name, tracks, number = name_of(source), container.streams.audio, track_of(source)
    if not tracks:
        what = "is a video without sound" if pictures(container) else "holds no audio stream"
        raise MediaError(name, what)
    if number is None:
        stream = container.streams.best("audio") or tracks[0]
    elif number <= len(tracks):
        stream = tracks[number - 1]
    else:
        count = "one audio track" if len(tracks) == 1 else f"{len(tracks)} audio tracks"
        raise MediaError(name, f"has {count}; there is no track {number}")
    context = stream.codec_context
    if context is None:
        raise MediaError(name, "its sound is in a codec that cannot be decoded here")
    if not 1 <= context.channels <= MAX_CHANNELS:
        raise MediaError(name, f"claims {context.channels} channels; 1 to {MAX_CHANNELS} can be read")
    if context.sample_rate:  # 0: unknown before the frames
        check_rate(name, context.sample_rate)
    return stream


def check_rate(name: str, rate: int) -> None:
    """MediaError for a rate that no sound has."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(
            name, f"claims an absurd sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} can be read"
        )


def declared_duration(container: Any, stream: Any) -> float | None:
    """Seconds that the stream's own header declares, else those of the whole container, or None."""
    seconds = own_duration(stream)
    if seconds is None and container.duration and container.duration > 0:
        seconds = container.duration / av.time_base
    if seconds and container.format.name == "flac" and stream is not None:
        rate = stream.codec_context.sample_rate if stream.codec_context else 0
        return None if seconds * rate > 0.999 * FLAC_UNKNOWN else seconds
    return seconds


def own_duration(stream: Any) -> float | None:
    """Seconds that the stream's own header declares, or None.

    Matroska keeps them in a tag, "00:00:03.997000000".
    """
    if stream is None:
        return None
    if stream.duration and stream.duration > 0 and stream.time_base:
        return float(stream.duration * stream.time_base)
    if tag := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    return None


def is_guessed(container: Any, stream: Any) -> bool:
    """Whether FFmpeg guesses the stream's duration: of bare streams, and of an mp3 without a LAME header,
    whose encoder delay would make it start after 0.
    """
    name = container.format.name
    return name in BARE_FORMATS or (name == "mp3" and not stream.start_time)


def _short(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
