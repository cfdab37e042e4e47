"""`earwitness scenes`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error


def scenes(
    bank: Annotated[Path, typer.Option(help="Folder of labelled recordings with manifest.csv.")],
    captions: Annotated[
        list[str], typer.Option(help="CSV with a column `caption`, or a text file; repeatable.")
    ],
    count: Annotated[int, typer.Option(min=1, help="Number of scenes.")],
    out: Annotated[Path, typer.Option(help="Folder to write; existing scenes are kept.")],
    seconds: Annotated[float, typer.Option(min=1.0, help="Duration of a scene, s.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Random seed of the scenes.")] = 0,
    human: Annotated[
        float, typer.Option(min=0, max=1, help="Share of scenes composed from human captions.")
    ] = 0.7,
    augment: Annotated[
        float, typer.Option(min=0, max=1, help="Share of scenes with channel effects (room, noise, codec).")
    ] = 1.0,
    synthesis: Annotated[
        int, typer.Option(min=0, help="Synthetic recordings of each label with a generator; training only.")
    ] = 0,
    held_out: Annotated[
        bool, typer.Option(help="Use the held-out recordings instead of the training ones.")
    ] = False,
) -> None:
    """Compose captioned clips from a bank of labelled recordings: FLAC files and manifest.jsonl.

    \b
    earwitness scenes --bank BANK --captions captions.csv --count 1000 --out scenes
    """
    import soundfile
    from tqdm import tqdm

    from earwitness.sample_rate import SAMPLE_RATE
    from earwitness.scenes.bank import Bank
    from earwitness.scenes.composer import Composer
    from earwitness.scenes.lexicon import Lexicon
    from earwitness.scenes.recordings import held_out_groups
    from earwitness.scenes.render import render_waveform
    from earwitness.scenes.tag_set import TagSet
    from earwitness.training.inputs.scene_data import read_captions

    with exit_on_error():
        recordings = Bank.open(bank, out / "cache", synthesis=synthesis)
        texts = read_captions(captions)
    labels = sorted({r.label for r in recordings.recordings})
    tag_set = TagSet.of(labels, Lexicon.default())
    pool = recordings.subset(held_out_groups(recordings.recordings), inside=held_out)
    composer = Composer(
        recordings, pool, tag_set, texts, seconds=seconds, human=human, augment=augment, seed=seed
    )
    (out / "audio").mkdir(parents=True, exist_ok=True)
    rows = []
    for index in tqdm(range(count), "Composing scenes", unit=" scenes", delay=2):
        scene = composer.plan(index)
        name = f"audio/{seed}-{index:07d}.flac"
        if not (out / name).is_file():
            soundfile.write(out / name, render_waveform(scene, recordings), SAMPLE_RATE)
        tags = [tag_set.names[t] for t in scene.tags]
        rows.append({"id": f"{seed}-{index:07d}", "audio": name, "captions": [scene.caption], "labels": tags})
    manifest = out / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    typer.echo(f"{count} scenes in {manifest}")
