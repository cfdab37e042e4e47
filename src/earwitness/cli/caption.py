"""`earwitness caption`: files and folders in; a table, JSONL, CSV or subtitles out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earwitness.cli.output import ROWS, SUBTITLES, Output, OutputError, RowFile, Subtitles, Table
from earwitness.cli.parts import load_captioner
from earwitness.cli.progress import JobProgress

if TYPE_CHECKING:
    from earwitness.captioner import Captioner
    from earwitness.captions import Caption
    from earwitness.media import MediaError

DEFAULT_WINDOW = 10.0  # s


def caption(
    paths: Annotated[list[Path], typer.Argument(help="Sound or video files, and folders of them.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Checkpoint folder or hub name; none: the built-in.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write .jsonl, .csv, or (of one file) .srt or .vtt.")
    ] = None,
    srt: Annotated[bool, typer.Option("--srt", help="Write FILE.srt beside each file.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Write FILE.vtt beside each file.")] = False,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Caption all of each file in windows; equal neighbours merge.")
    ] = False,
    window: Annotated[
        float | None, typer.Option(min=0.2, help="Window in s (10); implies --timeline.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="A window begins every HOP s (one window); implies --timeline.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Folders within folders, too.")
    ] = False,
    beams: Annotated[int, typer.Option(min=1, help="Beams of the search; 1 is faster.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips captioned at once.")] = 16,
    guide: Annotated[bool, typer.Option(help="The model's Token Guide, if it has one.")] = True,
    frames: Annotated[
        bool, typer.Option("--frames", help="Insist on pictures: a model that watches sees them anyway.")
    ] = False,
    retrieve: Annotated[
        Path | None, typer.Option(help="Datastore whose captions of similar sounds the model is shown.")
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Of the beams take the one that CLAP finds nearest to the sound.")
    ] = False,
    correct: Annotated[
        bool, typer.Option("--correct", help="Rewrite faulty captions with the models that the config names.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip what is already in --out (or has subtitles).")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace subtitles that are there.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode files ahead.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto, float32, bfloat16, float16.")
    ] = "auto",
) -> None:
    """Say in words what is heard in sounds and videos.

    Without --out, --srt or --vtt a table is printed. A file that cannot be heard is reported at the end and
    makes the exit status 1; the others are captioned all the same.

    \b
    earwitness caption dog.wav street.mp3          a caption, tags and score each
    earwitness caption long.mp4 --timeline         what is heard when
    earwitness caption film.mp4 --srt              sound subtitles: film.srt
    earwitness caption DIR -r -o all.jsonl         one row a file; stopped? add --resume
    earwitness caption DIR -o all.csv --window 5   one row for each 5 s
    earwitness caption dog.wav -m M --retrieve STORE   shown captions of similar sounds (earwitness index)
    earwitness caption film.mp4 -m M --frames --rerank --correct   all that a model can be given
    """
    timeline = timeline or srt or vtt or window is not None or hop is not None or _suffix(out) in SUBTITLES
    failures: dict[str, str] = {}  # file -> why it has no caption
    told = 0
    try:
        if rerank and beams < 2:
            raise ValueError("--rerank chooses among beams: --beams must be 2 or more")
        files = _find(paths, recursive, failures)
        outputs = _outputs(files, out, srt, vtt, model, resume=resume, overwrite=overwrite, correct=correct)
        fresh = [file for file in files if not (resume and all(output.has(file) for output in outputs))]
        todo = _permitted(fresh, outputs, failures)
        if todo:
            captioner = load_captioner(
                *(model, device, dtype), frames=frames, retrieve=retrieve, rerank=rerank, correct=correct
            )
            options: dict[str, Any] = {"batch_size": batch_size, "beams": beams, "use_guide": guide}
            if timeline:
                options |= {"window": window or min(DEFAULT_WINDOW, captioner.max_seconds), "hop": hop}
            else:
                options |= {"workers": workers}
            results = (_timelines if timeline else _clips)(captioner, todo, failures, options)
            for file, captions in results:
                told += len(captions)
                for output in outputs:
                    output.write(file, captions)
        for output in outputs:
            output.close()
    except (ValueError, OSError) as error:  # what can be mended: a path, a checkpoint, an option, a full disk
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    _report(len(files), len(fresh), 0 if isinstance(outputs[0], Table) else told, failures)
    if failures:
        raise typer.Exit(1)


def _find(paths: Sequence[Path], recursive: bool, failures: dict[str, str]) -> list[str]:
    from earwitness.media import MediaError, find_media

    files: dict[str, None] = {}
    for path in paths:
        try:
            files |= {str(file): None for file in find_media(path, recursive)}
        except MediaError as error:
            failures[error.path] = error.reason
    return list(files)


def _outputs(
    files: Sequence[str],
    out: Path | None,
    srt: bool,
    vtt: bool,
    model: str | None,
    *,
    resume: bool,
    overwrite: bool,
    correct: bool,
) -> list[Output]:
    beside = [suffix for suffix, wanted in ((".srt", srt), (".vtt", vtt)) if wanted]
    outputs: list[Output] = [Subtitles(suffix, overwrite=overwrite) for suffix in beside]
    if out is not None and _suffix(out) in SUBTITLES:
        if len(files) > 1:
            raise OutputError(
                f"{out} can hold one file's subtitles, not {len(files)}; --srt or --vtt write one each"
            )
        outputs.append(Subtitles(_suffix(out), target=out))
    elif out is not None and _suffix(out) in ROWS:
        signed = "mini" if model is None else Path(model).name
        outputs.append(RowFile(out, signed, resume=resume, corrected=correct))
    elif out is not None:
        raise OutputError(f"--out {out}: choose a name that ends in {', '.join((*ROWS, *SUBTITLES))}")
    return outputs or [Table()]


def _permitted(files: Sequence[str], outputs: Sequence[Output], failures: dict[str, str]) -> list[str]:
    """The files whose captions every output will take; of the others, why not."""
    for file in files:
        for output in outputs:
            if (reason := output.refuses(file)) is not None:
                failures[file] = reason
    return [file for file in files if file not in failures]


def _clips(
    captioner: Captioner, files: Sequence[str], failures: dict[str, str], options: dict[str, Any]
) -> Iterator[tuple[str, list[Caption]]]:
    """One caption a file."""

    def note(file: str, error: MediaError) -> None:
        failures[file] = error.reason

    with JobProgress(len(files)) as progress:
        captions = progress.files(captioner.stream(files, on_error=note, **options))
        for file, caption in zip(files, captions):
            if caption is not None:
                yield file, [caption]


def _timelines(
    captioner: Captioner, files: Sequence[str], failures: dict[str, str], options: dict[str, Any]
) -> Iterator[tuple[str, list[Caption]]]:
    """The captions of each file's windows, equal neighbours merged."""
    from earwitness.captions import merge_neighbours
    from earwitness.media import MediaError, probe

    with JobProgress(len(files)) as progress:
        for number, file in enumerate(files):
            try:
                windows = progress.windows(captioner.timeline(file, **options), number, probe(file).duration)
                captions = list(merge_neighbours(windows))
            except MediaError as error:
                failures[file] = error.reason
                continue
            yield file, captions


def _report(files: int, fresh: int, told: int, failures: dict[str, str]) -> None:
    """What was done, on standard error."""
    if not files and not failures:
        typer.echo("No sound or video files there; --recursive looks into subfolders, too.", err=True)
    if files > fresh:
        typer.echo(f"{files - fresh} of {files} files were captioned before.", err=True)
    if told:
        typer.echo(f"{told} captions written.", err=True)
    if failures:
        typer.echo(f"{len(failures)} could not be captioned:", err=True)
        for file, reason in failures.items():
            typer.echo(f"  {file}: {reason}", err=True)


def _suffix(path: Path | None) -> str:
    return "" if path is None else path.suffix.lower()
