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

MAX_LISTED = 20  # files whose captioned duration is reported one by one


def caption(
    paths: Annotated[
        list[Path], typer.Argument(help="Audio, video, folders, manifests (.jsonl); - is standard input.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Checkpoint folder or hub name; default: the built-in."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Write .jsonl, .csv, .parquet; for one file also .srt, .vtt, .json, .txt (Audacity labels).",
        ),
    ] = None,
    srt: Annotated[bool, typer.Option("--srt", help="Write FILE.srt beside each file.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Write FILE.vtt beside each file.")] = False,
    sdh: Annotated[
        bool, typer.Option("--sdh", help="In .srt and .vtt, cues like [dog barking] instead of sentences.")
    ] = False,
    merge: Annotated[
        Path | None,
        typer.Option(help="Dialogue subtitles (.srt, .vtt) to copy to --out with sound cues added."),
    ] = None,
    line_length: Annotated[int, typer.Option(min=1, help="Characters per line of a sound cue.")] = 42,
    least_seconds: Annotated[float, typer.Option(help="Minimum time of a sound cue on screen.")] = 1.0,
    reading_speed: Annotated[float, typer.Option(help="Characters that viewers read per second.")] = 20.0,
    plot: Annotated[
        Path | None, typer.Option(help="Plot spectrogram, captions and tags (.png, .svg, .pdf) of one file.")
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Caption each file in full, cut where its sounds change.")
    ] = False,
    window: Annotated[
        float | None,
        typer.Option(min=0.2, help="Maximum duration of a caption, in s (10); implies --timeline."),
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="Encode a window every HOP s (0.8 windows); implies --timeline.")
    ] = None,
    track: Annotated[
        int | None,
        typer.Option(min=1, help="Audio track to read, 1 the first.", show_default="the one FFmpeg prefers"),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Search folders recursively.")] = False,
    beams: Annotated[
        int | None,
        typer.Option(min=1, help="Beam width; 1 is fastest.", show_default="the model's own"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips captioned at once.")] = BATCH_SIZE,
    guide: Annotated[bool, typer.Option(help="Use the model's Token Guide and tag guide.")] = True,
    frames: Annotated[
        bool, typer.Option("--frames", help="Require video frames, which a model with vision uses anyway.")
    ] = False,
    retrieve: Annotated[
        Path | None, typer.Option(help="Datastore of captions; those of similar clips join the prompt.")
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Choose the beam that CLAP scores nearest to the audio.")
    ] = False,
    correct: Annotated[
        bool, typer.Option("--correct", help="Rewrite faulty captions with the models named in the config.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Skip files already in --out (or with subtitles).")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Threads that decode files ahead; with Ray, actors.")
    ] = 1,
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
    """Caption audio and video.

    Without --out, --srt or --vtt a table is printed. Files that cannot be decoded are reported at the end,
    and the exit status is then 1; all others are captioned. Under torchrun, srun or in a Slurm array, each
    process captions its share of the files, and the last one to finish writes --out.

    \b
    earwitness caption dog.wav street.mp3          caption, tags and score of each file
    earwitness caption long.mp4 --timeline         captions with times
    earwitness caption film.mp4 --srt              sound subtitles: film.srt
    earwitness caption film.mp4 --merge dialogue.srt -o film.sdh.srt   [door slams] between the dialogue
    earwitness caption dog.wav --plot dog.png      plot of captions and tags over time
    earwitness caption DIR -r -o all.jsonl         one row per file; continue with --resume
    earwitness caption DIR -o all.csv --window 5   one row per sound, of at most 5 s
    earwitness caption dog.wav -m M --retrieve STORE   captions of similar clips (earwitness index)
    earwitness caption film.mp4 -m M --frames --rerank --correct   vision, reranking, correction
    """
    timeline = timeline or any([srt, vtt, window, hop, plot]) or _suffix(out) in WRITERS
    failures: dict[str, str] = {}  # file -> why it has no caption
    messages: list[str] = []  # printed at the end
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
            say=messages.append,
        )
        if STANDARD_INPUT in files and (plot is not None or engine == "ray"):
            raise ValueError("standard input can be read once, by this process: no --plot, no --engine ray")
        if track is not None and plot is not None:
            raise ValueError("--plot draws the track that FFmpeg prefers: remove --track")
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
                _caption(todo, outputs, failures, messages, load, engine, options)
        for output in outputs:
            output.close()
    _report(len(found), len(files), len(fresh), messages, failures)
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
    messages: list[str],
    load: Any,
    engine: str,
    options: dict[str, Any],
) -> None:
    """Caption the files and write each to every output."""
    from earwitness.archive.captioning import caption_files, caption_on_ray

    count = 0
    covered: dict[str, float] = {}  # file -> s captioned
    with JobProgress(len(todo)) as progress:
        if engine == "ray":
            results = caption_on_ray(load, todo, progress=progress, **options)
        else:
            results = caption_files(load(), todo, progress=progress, **options)
        for file, outcome in results:
            if isinstance(outcome, list):
                count += len(outcome)
                covered[file] = max((caption.end for caption in outcome), default=0.0)
                for output in outputs:
                    output.write(file, outcome)
            else:
                failures[file] = outcome.reason
                for output in outputs:
                    output.fail(file, outcome.reason)
    if not isinstance(outputs[0], Table):
        messages.append(f"{count} captions written.")
    if options["timeline"]:
        messages += _coverage(covered)


def _coverage(covered: dict[str, float]) -> list[str]:
    """Report the captioned duration of each file; missing parts were logged before."""
    if len(covered) > MAX_LISTED:
        return [f"{sum(covered.values()):.2f} s captioned in {len(covered)} files."]
    return [f"{file}: {seconds:.2f} s captioned." for file, seconds in covered.items()]


def _permitted(files: Sequence[str], outputs: Sequence[Output], failures: dict[str, str]) -> list[str]:
    """Return the files whose captions every output accepts; record in `failures` why others are refused."""
    for file in files:
        for output in outputs:
            if (reason := output.refuses(file)) is not None:
                failures[file] = reason
    return [file for file in files if file not in failures]


def _report(found: int, files: int, fresh: int, messages: Sequence[str], failures: dict[str, str]) -> None:
    """Print the summary on standard error."""
    if not found and not failures:
        typer.echo("No audio or video files found; --recursive searches subfolders.", err=True)
    if files > fresh:
        typer.echo(f"{files - fresh} of {files} files were captioned before.", err=True)
    for line in messages:
        typer.echo(line, err=True)
    if failures:
        typer.echo(f"{len(failures)} could not be captioned:", err=True)
        for file, reason in failures.items():
            typer.echo(f"  {printable(file)}: {printable(reason)}", err=True)


def _suffix(path: Path | None) -> str:
    return "" if path is None else path.suffix.lower()
