"""`earwitness caption`: files and folders in; a table, JSONL, CSV or subtitles out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from earwitness.archive.sharded_table import Share
from earwitness.cli.errors import exit_on_error
from earwitness.cli.inputs import STANDARD_INPUT, Reader, find_files, standard_input
from earwitness.cli.manifest_files import files_of_manifests
from earwitness.cli.output import DIALOGUES, Output, Table, choose_outputs, printable
from earwitness.cli.parts import load_captioner
from earwitness.cli.progress import JobProgress
from earwitness.prefetch import BATCH_SIZE
from earwitness.subtitles.formats import WRITERS
from earwitness.subtitles.sound_cues import CueLimits
from earwitness.tables import file_ids

LISTED = 20  # files whose duration heard is told one by one


def caption(
    paths: Annotated[
        list[Path], typer.Argument(help="Sounds, videos, folders, manifests (.jsonl); - is standard input.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Checkpoint folder or hub name; none: the built-in.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write .jsonl, .csv or .parquet; of one file .srt, .vtt, .json, or .txt (Audacity labels).",
        ),
    ] = None,
    srt: Annotated[bool, typer.Option("--srt", help="Write FILE.srt beside each file.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Write FILE.vtt beside each file.")] = False,
    sdh: Annotated[
        bool, typer.Option("--sdh", help="In .srt and .vtt, cues like [dog barking] instead of sentences.")
    ] = False,
    merge: Annotated[
        Path | None,
        typer.Option(help="Subtitles of the dialogue (.srt, .vtt), copied to --out with sound cues added."),
    ] = None,
    line_length: Annotated[int, typer.Option(min=1, help="Characters a line of a sound cue.")] = 42,
    least_seconds: Annotated[float, typer.Option(help="A sound cue stays on screen at least so long.")] = 1.0,
    reading_speed: Annotated[float, typer.Option(help="Characters a second that can be read.")] = 20.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw spectrogram, captions and tags (.png, .svg, .pdf); one file.")
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Caption all of each file, cut where its sound changes.")
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(min=0.2, help="The most a caption may span, in s (10); implies --timeline."),
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="A window is heard every HOP s (0.8 windows); implies --timeline.")
    ] = None,
    track: Annotated[
        int | None,
        typer.Option(min=1, help="Audio track to read, 1 the first.", show_default="the one FFmpeg prefers"),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Folders within folders, too.")
    ] = False,
    beams: Annotated[
        int | None,
        typer.Option(min=1, help="Beams of the search; 1 is fastest.", show_default="the model's own"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips captioned at once.")] = BATCH_SIZE,
    guide: Annotated[bool, typer.Option(help="The model's Token Guide and tag guide, if any.")] = True,
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads that decode files ahead; of Ray, actors.")] = 1,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="ray: Ray Data, here or on the cluster of RAY_ADDRESS.")
    ] = "local",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the language model: auto, float32, bfloat16, float16.")
    ] = "auto",
    runtime: Annotated[
        Literal["auto", "onnx", "torch"],
        typer.Option(help="auto: ONNX Runtime for the built-in and exported models on the CPU, else torch."),
    ] = "auto",
) -> None:
    """Say in words what is heard in sounds and videos.

    Without --out, --srt or --vtt a table is printed. A file that cannot be heard is reported at the end and
    makes the exit status 1; the others are captioned all the same. Under torchrun, srun or in a Slurm array,
    each process captions its share of the files; the last one to end writes --out.

    \b
    earwitness caption dog.wav street.mp3          a caption, tags and score each
    earwitness caption long.mp4 --timeline         what is heard when
    earwitness caption film.mp4 --srt              sound subtitles: film.srt
    earwitness caption film.mp4 --merge dialogue.srt -o film.sdh.srt   [door slams] between the lines
    earwitness caption dog.wav --plot dog.png      a picture of what is heard when
    earwitness caption DIR -r -o all.jsonl         one row a file; stopped? add --resume
    earwitness caption DIR -o all.csv --window 5   a row for each sound, none longer than 5 s
    earwitness caption dog.wav -m M --retrieve STORE   shown captions of similar sounds (earwitness index)
    earwitness caption film.mp4 -m M --frames --rerank --correct   all that a model can be given
    """
    timeline = timeline or any([srt, vtt, window, hop, plot]) or _suffix(out) in WRITERS
    failures: dict[str, str] = {}  # file -> why it has no caption
    told: list[str] = []  # what to say at the end
    with exit_on_error(ValueError, OSError, ImportError):  # a path, checkpoint, option, full disk or extra
        if rerank and beams == 1:
            raise ValueError("--rerank chooses among beams: --beams must be 2 or more")
        share = _share()
        paths, named = files_of_manifests(paths)
        found = find_files(paths, recursive, failures)
        files = [file for file in found if share.has(file)]
        outputs = choose_outputs(
            files,
            out=out,
            beside=[suffix for suffix, wanted in zip(DIALOGUES, (srt, vtt)) if wanted],
            merge=merge,
            sdh=sdh,
            plot=plot,
            limits=CueLimits(line_length, shortest=least_seconds, reading_speed=reading_speed),
            model="mini" if model is None else Path(model).name,
            resume=resume,
            overwrite=overwrite,
            corrected=correct,
            share=share,
            ids=file_ids(found, [path for path in paths if path.exists()]) | named,
            tell=told.append,
        )
        if STANDARD_INPUT in files and (plot is not None or engine == "ray"):
            raise ValueError("standard input can be read once, by this process: no --plot, no --engine ray")
        if track is not None and plot is not None:
            raise ValueError("--plot draws the track that FFmpeg prefers: leave --track out")
        fresh = [file for file in files if not (resume and all(output.has(file) for output in outputs))]
        todo = _permitted(fresh, outputs, failures)
        parts: dict[str, Any] = {"frames": frames, "retrieve": retrieve, "rerank": rerank, "correct": correct}
        parts["runtime"] = runtime
        load = partial(load_captioner, model, device, dtype, **parts)
        options: dict[str, Any] = {"batch_size": batch_size, "beams": beams, "use_guide": guide}
        options |= {"timeline": timeline, "window": window, "hop": hop, "workers": workers}
        if todo:
            with standard_input(todo) as spooled:
                options["source"] = Reader(track, spooled)
                _caption(todo, outputs, failures, told, load, engine, options)
        for output in outputs:
            output.close()
    _report(len(found), len(files), len(fresh), told, failures)
    if failures or not found:
        raise typer.Exit(1)


def _share() -> Share:
    share = Share.from_environment()
    if share.world > 1:
        typer.echo(f"Captioning share {share.rank + 1} of {share.world}.", err=True)
    return share


def _caption(
    todo: Sequence[str],
    outputs: Sequence[Output],
    failures: dict[str, str],
    told: list[str],
    load: Any,
    engine: str,
    options: dict[str, Any],
) -> None:
    """Captions the files and hands each to every output."""
    from earwitness.archive.captioning import caption_files, caption_on_ray

    count = 0
    heard: dict[str, float] = {}  # s of the files told one by one
    with JobProgress(len(todo)) as progress:
        if engine == "ray":
            results = caption_on_ray(load, todo, progress=progress, **options)
        else:
            results = caption_files(load(), todo, progress=progress, **options)
        for file, outcome in results:
            if isinstance(outcome, list):
                count += len(outcome)
                heard[file] = max((caption.end for caption in outcome), default=0.0)
                for output in outputs:
                    output.write(file, outcome)
            else:
                failures[file] = outcome.reason
                for output in outputs:
                    output.fail(file, outcome.reason)
    if not isinstance(outputs[0], Table):
        told.append(f"{count} captions written.")
    if options["timeline"]:
        told += _coverage(heard)


def _coverage(heard: dict[str, float]) -> list[str]:
    """How much of each file was captioned, in hundredths of a second; what is missing was logged before."""
    if len(heard) > LISTED:
        return [f"{sum(heard.values()):.2f} s heard in {len(heard)} files."]
    return [f"{file}: {seconds:.2f} s heard." for file, seconds in heard.items()]


def _permitted(files: Sequence[str], outputs: Sequence[Output], failures: dict[str, str]) -> list[str]:
    """The files whose captions every output will take; of the others, why not."""
    for file in files:
        for output in outputs:
            if (reason := output.refuses(file)) is not None:
                failures[file] = reason
    return [file for file in files if file not in failures]


def _report(found: int, files: int, fresh: int, told: Sequence[str], failures: dict[str, str]) -> None:
    """What was done, on standard error."""
    if not found and not failures:
        typer.echo("No sound or video files there; --recursive looks into subfolders, too.", err=True)
    if files > fresh:
        typer.echo(f"{files - fresh} of {files} files were captioned before.", err=True)
    for line in told:
        typer.echo(line, err=True)
    if failures:
        typer.echo(f"{len(failures)} could not be captioned:", err=True)
        for file, reason in failures.items():
            typer.echo(f"  {printable(file)}: {printable(reason)}", err=True)


def _suffix(path: Path | None) -> str:
    return "" if path is None else path.suffix.lower()
