"""Outputs of captions: a printed table, rows in a file, subtitles, a plot."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from earwitness.archive.sharded_table import ShardedTable, Share
from earwitness.atomic_write import atomic_write
from earwitness.captions import Caption
from earwitness.cli.inputs import STANDARD_INPUT
from earwitness.subtitles.formats import WRITERS, write_subtitles
from earwitness.subtitles.merging import has_cues, merge_cues
from earwitness.subtitles.sound_cues import CueLimits, sound_events
from earwitness.tables import FORMATS, spelled

MAX_LISTED = 20  # events without a cue that are reported one by one
DIALOGUES = (".srt", ".vtt")  # formats into which sound cues can be merged


class OutputError(ValueError):
    """An output that cannot be written as asked."""


class Output:
    """Base of outputs. A sharded table has the same methods."""

    def has(self, path: str) -> bool:
        """Whether the captions of this file exist already."""
        return False

    def refuses(self, path: str) -> str | None:
        """Return the reason if this file's captions must not be written, else None."""
        return None

    def write(self, path: str, captions: list[Caption]) -> None:
        """Write all captions of one file."""
        raise NotImplementedError

    def fail(self, path: str, reason: str) -> None:
        """Record that this file has no captions."""

    def close(self) -> None:
        """Finish after the last file."""


class RowFile(ShardedTable, Output):
    """JSONL, CSV or Parquet, one row per caption."""


class Table(Output):
    """A table printed at the end."""

    def __init__(self) -> None:
        self.rows: list[Caption] = []

    def write(self, path: str, captions: list[Caption]) -> None:
        self.rows += captions

    def close(self) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        if not self.rows:
            return
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = max(console.width, 120)
        table = RichTable(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("file", overflow="fold")
        table.add_column("time", no_wrap=True)
        table.add_column("caption", style="bold", min_width=20)
        table.add_column("score", justify="right")
        table.add_column("tags", style="dim")
        for c in self.rows:
            tags = ", ".join(f"{name} {probability:.2f}" for name, probability in c.tags)
            cells = [
                c.source,
                f"{clock(c.start)}–{clock(c.end)}",
                c.text,
                f"{c.sureness} {c.score:.2f}",
                tags,
            ]
            table.add_row(*map(Text, cells))
        console.print(table)


class FileEach(Output):
    """A file for each media file: beside it, with another ending, or at `target`.

    write: makes it of captions and a path. What is there is not replaced unasked: subtitles may be somebody
    else's dialogue.
    """

    def __init__(
        self,
        write: Callable[[list[Caption], Path], object],
        suffix: str,
        *,
        target: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        self._write, self.suffix, self.target = write, suffix, target
        self.overwrite = overwrite

    def path_for(self, path: str) -> Path:
        return self.target or Path(path).with_suffix(self.suffix)

    def has(self, path: str) -> bool:
        return self.path_for(path).is_file()

    def refuses(self, path: str) -> str | None:
        if path == STANDARD_INPUT and self.target is None:
            return f"standard input has no folder for a {self.suffix} beside it; name a file with --out"
        if self.has(path) and not self.overwrite:
            return f"{self.path_for(path)} exists; --overwrite replaces it, --resume skips the file"
        return None

    def write(self, path: str, captions: list[Caption]) -> None:
        self._write(captions, self.path_for(path))


def sound_cue_writer(
    dialogue: Path | None, limits: CueLimits, say: Callable[[str], object]
) -> Callable[[list[Caption], Path], None]:
    """Return a writer of `[dog barking]` cues to SRT or VTT, merged into the subtitles of `dialogue` if
    given.

    say: called with messages on cues placed and not placed. Raises OutputError for a dialogue that cannot
    be read or holds no cue.
    """
    if dialogue is not None and dialogue.suffix.lower() not in DIALOGUES:
        raise OutputError(f"--merge {dialogue}: sound cues go into .srt or .vtt")
    try:
        lines = b"" if dialogue is None else dialogue.read_bytes()
    except OSError as error:
        raise OutputError(f"--merge {dialogue}: {error.strerror}") from None
    if dialogue is not None and not has_cues(lines, dialogue.suffix.lower()):
        raise OutputError(f"--merge {dialogue}: holds no subtitle cue (HH:MM:SS,mmm --> HH:MM:SS,mmm)")

    def write(captions: list[Caption], path: Path) -> None:
        merged = merge_cues(lines, sound_events(captions), path.suffix.lower(), limits)
        with atomic_write(path) as file:
            file.write(merged.data)
        known = f", {len(merged.known)} described in the dialogue" if merged.known else ""
        lost = f", {len(merged.left_out)} without space" if merged.left_out else ""
        say(f"{path}: {len(merged.placed)} sound cues{known}{lost}.")
        for event in merged.left_out[:MAX_LISTED]:
            say(f"  no space for {event.text} at {clock(event.start)}")
        if (more := len(merged.left_out) - MAX_LISTED) > 0:
            say(f"  nor for {more} more")

    return write


def file_output(out: Path, files: Sequence[str], write: Callable[[list[Caption], Path], object]) -> Output:
    """Write one file's captions to OUT."""
    if len(files) > 1:
        raise OutputError(f"{out} can hold one file's captions, not {len(files)}; --srt and --vtt write each")
    return FileEach(write, "", target=out, overwrite=True)


def _check_new(path: Path | None, option: str, *, resume: bool, overwrite: bool) -> None:
    """Raise OutputError for an existing file, unless it is to be resumed or replaced."""
    if path is not None and path.exists() and not (resume or overwrite):
        raise OutputError(f"{option} {path} exists: --overwrite replaces it, --resume adds to it")


def choose_outputs(
    files: Sequence[str],
    *,
    out: Path | None,
    beside: Sequence[str],
    merge: Path | None,
    sdh: bool,
    plot: Path | None,
    limits: CueLimits,
    model: str,
    resume: bool,
    overwrite: bool,
    corrected: bool,
    share: Share,
    ids: Mapping[str, str],
    say: Callable[[str], object],
) -> list[Output]:
    """Return the requested outputs; by default the printed table. Raises OutputError, ValueError."""
    suffix = "" if out is None else out.suffix.lower()
    if share.world == 1:  # else another process of the same job may have written it
        _check_new(out, "--out", resume=resume, overwrite=overwrite)
        _check_new(plot, "--plot", resume=resume, overwrite=overwrite)
    if merge is not None and suffix != merge.suffix.lower():
        raise OutputError(f"--merge {merge} needs --out with a name that ends in {merge.suffix} as well")
    cues = sound_cue_writer(merge, limits, say) if sdh or merge is not None else write_subtitles
    outputs: list[Output] = [FileEach(cues, suffix, overwrite=overwrite) for suffix in beside]
    if out is not None and suffix in DIALOGUES:
        outputs.append(file_output(out, files, cues))
    elif out is not None and suffix in WRITERS:
        outputs.append(file_output(out, files, write_subtitles))
    elif out is not None and suffix in FORMATS:
        outputs.append(RowFile(out, model, resume=resume, corrected=corrected, share=share, ids=ids))
    elif out is not None:
        raise OutputError(f"--out {out}: choose a name that ends in {', '.join((*FORMATS, *WRITERS))}")
    if plot is not None:
        from earwitness.analysis.plots import PICTURES, plot_timeline

        if plot.suffix.lower() not in PICTURES:
            raise OutputError(f"--plot {plot}: choose a name that ends in {', '.join(PICTURES)}")
        outputs.append(file_output(plot, files, plot_timeline))
    return outputs or [Table()]


def printable(text: str) -> str:
    """Escape control characters and undecodable bytes of a name or message for a terminal."""
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: repr(found[0])[1:-1], spelled(text))


def clock(seconds: float) -> str:
    """75.25 -> "1:15.2", 3675.25 -> "1:01:15.2"."""
    tenths = int(seconds * 10)
    hours, minutes, rest = tenths // 36_000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
