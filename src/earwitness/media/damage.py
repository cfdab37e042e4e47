"""What is missing of a recording: packets that failed, holes in its clock, an end before the declared one."""

from __future__ import annotations

from typing import NamedTuple

from earwitness.media.pcm import PcmStream

LOST = 0.08  # s that may be missing from the declared duration: padding of codecs, below a lost frame of FLAC
SHORTER = 0.001  # of the declared duration, which headers round
PICTURES_SHORTER = 0.05  # of a container's duration, by which pictures may end before it


class Damage(NamedTuple):
    """faults: one clause each, for a message. covered: share of the declared span that decoded, 0..1. lost: s
    that are missing, as far as is known. repaired: what was replaced though nothing is missing.
    """

    faults: tuple[str, ...]
    covered: float
    lost: float
    repaired: tuple[str, ...]


def assess(stream: PcmStream, seconds: float, start: float = 0.0, end: float | None = None) -> Damage:
    """The damage of a stream of which `seconds` were decoded from `start` to `end`, or to its own end."""
    decoded = seconds - stream.filled
    declared = _declared(stream, start + seconds)
    wanted = seconds if declared is None else (declared if end is None else min(end, declared)) - start
    missing = wanted - decoded
    faults = []
    if stream.failed:
        faults.append(_count(stream.failed, "packet") + " did not decode")
    if stream.gave_up:
        faults.append(f"its container cannot be read beyond {start + seconds:.2f} s")
    elif stream.failed_reads:
        faults.append("the container is broken in " + _count(stream.failed_reads, "place"))
    if stream.filled:
        faults.append(f"{stream.filled:.2f} s are absent inside it and taken as silence")
    early = wanted - seconds
    if early > max(LOST, SHORTER * wanted):
        faults.append(
            f"it ends after {start + seconds:.2f} of the {start + wanted:.2f} s that its header declares"
        )
    repaired = []
    if stream.broken:
        repaired.append(_count(stream.broken, "NaN or infinite sample") + " taken as silence")
    covered = 1.0 if wanted <= 0 else min(1.0, max(0.0, decoded / wanted))
    return Damage(tuple(faults), covered, max(0.0, missing) if faults else 0.0, tuple(repaired))


def _declared(stream: PcmStream, end: float) -> float | None:
    """Seconds that sound should last; None if only the container says and its pictures outlast the sound."""
    if stream.declared is None or stream.pictures_end is None:
        return stream.declared
    whole = stream.pictures_end >= (1 - PICTURES_SHORTER) * stream.declared
    return None if whole and end < stream.declared else stream.declared


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
