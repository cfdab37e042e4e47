"""Position of decoded audio in its file, from presentation time stamps and counted samples."""

from __future__ import annotations

from typing import Any

import av

GAP = 0.05  # s: a larger jump of time stamps is a gap (filled with silence), a smaller one is rounding
MAX_GAP = 60.0  # s: a longer jump is a broken clock, not a pause
PREROLL = 2.0  # s decoded before a target: mp3's bit reservoir, Opus' 80 ms, one period of the resampler


class Clock:
    """Position of decoded audio in the file, from presentation time stamps and counted seconds."""

    def __init__(self, container: Any, stream: Any, has_video: bool, skip_to: float) -> None:
        self.tick = float(stream.time_base or 0)  # s
        self.timed_by_pictures = has_video and container.start_time is not None
        self.zero: float | None = None  # s, the time stamp of the file's beginning
        if self.timed_by_pictures:
            self.zero = container.start_time / av.time_base
        elif stream.start_time is not None:
            self.zero = stream.start_time * self.tick
        self.skip_to = skip_to - PREROLL
        self.skipped = self.started = False
        self.now = self.filled = self.position = 0.0  # s

    @property
    def skipping(self) -> bool:
        """Whether packets may still precede the target."""
        return not self.started and self.skip_to > 0

    @property
    def jumped_in(self) -> bool:
        """Whether packets were skipped and none decoded yet."""
        return self.skipped and not self.started

    def skips(self, packet: Any) -> bool:
        """Whether the packet is so far before the target that it need not be decoded."""
        if self.zero is None or packet.pts is None or not packet.size:
            return False
        seconds = packet.duration * self.tick if packet.duration else PREROLL
        early = packet.pts * self.tick - self.zero + seconds < self.skip_to
        self.skipped = self.skipped or early
        return early

    def hole_before(self, frame: Any, seconds: float) -> float:
        """Return the seconds of silence to insert before this frame, which lasts `seconds`."""
        gap = 0.0
        if frame.pts is not None and self.tick:
            time = frame.pts * self.tick
            if not self.started:
                self._start(time)
            gap = time - (self.zero or 0.0) - self.now
            if abs(gap) > GAP:
                gap = self._jump(gap)
            else:
                gap = 0.0
        self.started = True
        self.now += gap + seconds
        return gap

    def _start(self, time: float) -> None:
        if self.skipped:
            self.position = self.now = min(time - (self.zero or 0.0), self.skip_to + PREROLL)
        elif not self.timed_by_pictures:
            self.zero = time

    def _jump(self, gap: float) -> float:
        if GAP < gap <= MAX_GAP and self.filled + gap <= MAX_GAP + self.now:  # bounded by the real audio
            if self.started or not self.timed_by_pictures:  # audio may start after the video: no loss
                self.filled += gap
            return gap
        self.zero = (self.zero or 0.0) + gap  # the clock was reset: trust the samples
        return 0.0
