"""Opening media files that nobody vouches for.

Only self-contained formats are read: no playlists, no addresses, no external references, no devices.
Whatever is not media becomes a MediaError that names the file, the reason and, where there is one, the
mend.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import av

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
UNKNOWN_SIZE = 0x7FFFF000  # bytes from which on a WAV header was written before the length was known
ATTACHED_PICTURE = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC

DECODE_ERRORS = (av.FFmpegError, ValueError, OSError, MemoryError)  # what PyAV raises on damaged input


class MediaError(ValueError):
    """A file that cannot be heard or seen: says which and why, and what would mend it.

    Attributes: `path` (the file's name, or "<bytes>", "<array>", ...) and `reason`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):  # both arguments survive pickling between worker processes
        return type(self), (self.path, self.reason)


def name_of(source: Any) -> str:
    """What messages call this source."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) and name else "<file object>"
    return "<array>" if is_array(source) else f"<{type(source).__name__}>"


def is_array(source: Any) -> bool:
    """A numpy array, a torch tensor, or a pair (array or an iterator of arrays, sample_rate)."""
    if isinstance(source, tuple):
        return len(source) == 2 and (is_array(source[0]) or is_live(source))
    return hasattr(source, "__array__") and hasattr(source, "shape")


def is_live(source: Any) -> bool:
    """A pair (iterator of arrays, sample_rate): sound that may still be arriving."""
    return isinstance(source, tuple) and len(source) == 2 and hasattr(source[0], "__next__")


@contextlib.contextmanager
def open_container(source: Any) -> Iterator[Any]:
    """An open PyAV input container that reads nothing but `source` (path, bytes or binary file object)."""
    name = name_of(source)
    file = _open_file(source, name)
    try:
        with _open_av(file, name) as container:
            yield container
    finally:
        if file is not source:  # the caller's own file object stays open
            file.close()


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
        raise MediaError(name, f"is not a media file that can be read ({_short(error)})") from error


def _open_file(source: Any, name: str) -> Any:
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) == 0:
            raise MediaError(name, "is empty (0 bytes)")
        return io.BytesIO(source)
    if hasattr(source, "read"):
        return source
    if not isinstance(source, str | os.PathLike):
        raise MediaError(name, f"cannot read sound from a {type(source).__name__}")
    if "://" in name[:16]:
        raise MediaError(name, "addresses are not fetched; download the file and pass its path")
    try:
        _check_path(Path(name))
        return Path(name).open("rb")
    except MediaError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise MediaError(name, f"cannot be opened ({_short(error)})") from error


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise MediaError(str(path), "is a folder; pass the files in it (find_media lists them)")
    if not path.exists():
        raise MediaError(str(path), "no such file")
    if not path.is_file():  # a pipe would be waited for, a device never ends
        raise MediaError(str(path), "is not a regular file")
    if path.stat().st_size == 0:
        raise MediaError(str(path), "is empty (0 bytes)")


def _refuse_reference(url: str, flags: int, options: dict) -> NoReturn:
    raise PermissionError(f"external reference refused: {url!r}")


def pictures(container: Any) -> list[Any]:
    """The video streams that move: cover art is none."""
    return [s for s in container.streams.video if not s.disposition & ATTACHED_PICTURE]


def best_audio(container: Any, name: str) -> Any:
    """The audio stream FFmpeg ranks first, its header checked; MediaError if there is none."""
    if not container.streams.audio:
        what = "is a video without sound" if pictures(container) else "holds no audio stream"
        raise MediaError(name, what)
    stream = container.streams.best("audio") or container.streams.audio[0]
    context = stream.codec_context
    if context is None:
        raise MediaError(name, "its sound is in a codec that cannot be decoded here")
    if not 1 <= context.channels <= MAX_CHANNELS:
        raise MediaError(name, f"claims {context.channels} channels; 1 to {MAX_CHANNELS} can be read")
    if context.sample_rate:  # 0: only the frames will tell
        check_rate(name, context.sample_rate)
    return stream


def check_rate(name: str, rate: int) -> None:
    """MediaError for a rate that no sound has."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(
            name, f"claims an absurd sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} can be read"
        )


def declared_duration(container: Any, stream: Any) -> float | None:
    """Seconds the header promises, or None."""
    if stream is not None and stream.duration and stream.duration > 0 and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


def duration_slack(container: Any, stream: Any) -> float:
    """By what share the sound may rightly be shorter than the declared duration.

    Bare streams have a guessed duration (infinite slack); an mp3 is one unless it has a LAME header, whose
    encoder delay makes it start after 0. Where only the whole container declares one, pictures may outlast
    the sound.
    """
    name = container.format.name
    if name in BARE_FORMATS or (name == "mp3" and not stream.start_time):
        return float("inf")
    return 0.001 if stream.duration or not pictures(container) else 0.1


def riff_shortfall(source: Any) -> int:
    """Bytes that a WAV file lacks against its own header: FFmpeg believes the file's size instead."""
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            head, size = bytes(source[:12]), len(source)
        elif isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                head, size = file.read(12), os.path.getsize(source)
        else:
            return 0
    except OSError:
        return 0
    declared = int.from_bytes(head[4:8], "little") + 8
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE" or declared >= UNKNOWN_SIZE:
        return 0
    return max(0, declared - size)


def _short(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
