"""Composes the example sounds from recordings in the public domain; writes CREDITS.md and references.csv.

    python examples/make_examples.py --bank BANK

BANK is a folder of labelled recordings with manifest.csv (see earwitness.scenes.bank). The same bank gives
the same sounds. Each scene is a list of recordings with the moment each begins and how loud it is, heard in a
room of its own over a little hiss: dry recordings put side by side sound like nothing one would record.
"""

from __future__ import annotations

import argparse
import csv
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile

from earwitness.media.reading import load_audio
from earwitness.scenes.recordings import held_out_groups, read_manifest

RATE = 16_000  # Hz
PEAK = 0.7  # -3 dB below full scale
FADE = 0.05  # s at the ends of each recording and of the scene


class Placed(NamedTuple):
    """A recording in a scene."""

    path: str  # below BANK/audio
    onset: float  # s
    level: float  # dB against the scene's other sounds
    first: float = 0.0  # s of the recording to begin at
    seconds: float | None = None  # how much of it; None: to its end


class Scene(NamedTuple):
    name: str
    heard: str  # what was composed, in words
    seconds: float
    room: float  # s, reverberation time
    wet: float  # dB of the room against the direct sound
    hiss: float  # dB of the noise floor against the loudest moment
    placed: list[Placed]


DOG = "dog-barking/mod-sounds__sounds-dog-bark-e844a.opus"
STEPS = [
    f"footsteps/vacation-station-14__heelsclack{i}.opus" for i in ("1-e168d", "2-0688f", "3-dfb43", "4-9e627")
]
BELLS = [
    f"church-bell-ringing/vacation-station-14__church-bell{i}.opus"
    for i in ("1-5665c", "2-f5c35", "3-a18ec", "4-59ebf")
]
PENS = [f"writing/vacation-station-14__paper-scribble{i}.opus" for i in ("1-f4149", "2-794e9", "5-4b4a1")]
PHONE = "telephone-ringing/vacation-station-14__double-ring-e8036.opus"
ENGINE = "car-engine-running/mod-sounds__sounds-vehicle-motor-idle-83749.opus"
HORN = "car-horn-honking/mod-sounds__sounds-vehicle-horn-02-b7c94.opus"
RAIN = "rain-falling/mod-sounds__sounds-rain-light-bdf68.opus"
HEAVY_RAIN = "rain-falling/mod-sounds__sounds-rain-heavy-01-72d1d.opus"
THUNDER = "thunder-rumbling/mod-sounds__sounds-thunder-01-c5bb0.opus"
TRAFFIC = "street-traffic/modern-alarm-clock__city-962d7.opus"

SCENES = [
    Scene("woman_and_dog.opus", "a woman speaks, then a dog barks", 8.0, 0.35, -14, -46, [
        Placed(TRAFFIC, 0.0, -26, seconds=8.0),
        Placed("woman-speaking/tts__lj001-0029-6773f.opus", 0.2, 0),
        Placed(DOG, 5.6, 0),
        Placed(DOG, 6.7, -1),
    ]),
    Scene("rain_and_thunder.opus", "rain falls and thunder rumbles", 10.0, 0.2, -20, -50, [
        Placed(RAIN, 0.0, -9, seconds=10.0),
        Placed(THUNDER, 3.0, 0),
    ]),
    Scene("seagulls_and_waves.opus", "seagulls call while waves wash ashore", 9.0, 0.15, -22, -45, [
        Placed("ocean-waves/modern-alarm-clock__waves-63d55-x1.opus", 0.0, -6, seconds=9.0),
        Placed("seagull-calling/mod-sounds__sounds-seagulls-575bf.opus", 1.2, 0),
    ]),
    Scene("church_bells.opus", "church bells ring over traffic", 9.0, 1.2, -8, -45, [
        Placed(TRAFFIC, 0.0, -14, seconds=9.0),
        *(Placed(BELLS[k % 4], 0.6 + 1.35 * k, 0) for k in range(5)),
    ]),
    Scene("farm.opus", "a rooster crows, then a sheep bleats and a cow moos", 9.0, 0.2, -20, -44, [
        Placed("wind-blowing/modern-alarm-clock__wind-c23a0-x0.opus", 0.0, -22, seconds=9.0),
        Placed("bird-chirping/mod-sounds__sounds-bird-02-5b69e.opus", 0.3, -18),
        Placed("rooster-crowing/mod-sounds__sounds-rooster-4042e.opus", 0.8, 0),
        Placed("sheep-bleating/mod-sounds__sounds-sheep-baa-215be.opus", 3.6, -2),
        Placed("cow-mooing/mod-sounds__sounds-cow-moo-02-9691f.opus", 5.4, 0),
    ]),
    Scene("telephone.flac", "someone writes, a telephone rings, footsteps click", 8.0, 0.5, -10, -44, [
        Placed(PENS[0], 0.3, -9),
        Placed(PENS[1], 1.3, -9),
        Placed(PENS[2], 2.1, -9),
        Placed(PHONE, 3.2, 0),
        Placed(PHONE, 5.0, 0),
        *(Placed(STEPS[k % 4], 5.4 + 0.55 * k, -6) for k in range(4)),
    ]),
    Scene("jet.opus", "a jet airplane lands", 10.0, 0.2, -24, -48, [
        Placed("jet-airplane/mod-sounds__sounds-jet-land-11bab.opus", 0.0, 0, first=1.0, seconds=10.0),
    ]),
    Scene("street.mp4", "a car idles and honks; then rain falls and thunder rumbles", 20.0, 0.3, -16, -46, [
        Placed(TRAFFIC, 0.0, -16, seconds=10.0),
        Placed(ENGINE, 0.2, -6, seconds=4.6),
        Placed(ENGINE, 4.6, -6, seconds=4.6),
        Placed(HORN, 5.2, 0),
        Placed(HORN, 6.3, 0),
        Placed(HEAVY_RAIN, 9.5, -6),
        Placed(THUNDER, 13.0, 1),
    ]),
]  # fmt: skip


def recording(bank: Path, placed: Placed) -> np.ndarray:
    """[S] at unit power where it sounds, faded at both ends."""
    end = None if placed.seconds is None else placed.first + placed.seconds
    sound = load_audio(bank / "audio" / placed.path, RATE, start=placed.first, end=end).waveform.astype(
        np.float64
    )
    block = np.sqrt((sound[: len(sound) // 400 * 400].reshape(-1, 400) ** 2).mean(1))
    level = np.sqrt(
        (block[block > block.max() / 10] ** 2).mean()
    )  # what is 20 dB below its loudest is silence
    return faded(sound / level)


def faded(sound: np.ndarray) -> np.ndarray:
    size = min(round(FADE * RATE), len(sound) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, size)) ** 2
    sound[:size] *= ramp
    sound[len(sound) - size :] *= ramp[::-1]
    return sound


def reverberated(sound: np.ndarray, seconds: float, wet: float, rng: np.random.Generator) -> np.ndarray:
    """The sound and its room: decaying noise, -60 dB after `seconds`, `wet` dB against the sound."""
    times = np.arange(round(seconds * RATE)) / RATE
    room = rng.standard_normal(len(times)) * np.exp(-6.9 * times / seconds)
    room *= 10 ** (wet / 20) / np.sqrt((room**2).sum())
    size = 1 << (len(sound) + len(room)).bit_length()
    tail = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)
    return sound + tail[: len(sound)]


def composed(bank: Path, scene: Scene, seed: int) -> np.ndarray:
    """[S] float32 with its loudest sample at PEAK."""
    rng = np.random.default_rng(seed)
    mix = np.zeros(round(scene.seconds * RATE))
    for placed in scene.placed:
        sound = recording(bank, placed) * 10 ** (placed.level / 20)
        onset = round(placed.onset * RATE)
        mix[onset : onset + len(sound)] += sound[: len(mix) - onset]
    mix = reverberated(mix, scene.room, scene.wet, rng)
    brown = np.cumsum(rng.standard_normal(len(mix)))
    brown -= np.convolve(brown, np.ones(800) / 800, mode="same")  # without its slowest part
    hiss = brown / brown.std() + 0.4 * rng.standard_normal(len(mix))
    mix += hiss / np.abs(hiss).max() * np.abs(mix).max() * 10 ** (scene.hiss / 20)
    return (faded(mix) * PEAK / np.abs(mix).max()).astype(np.float32)


def write_video(file: Path, sound: np.ndarray) -> None:
    """Sound under a plain colour that changes from blue to grey, one picture a second."""
    with av.open(str(file), "w") as out:
        pictures = out.add_stream("mpeg4", rate=1)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 96, "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="mono")
        audio.bit_rate = 48_000
        count = round(len(sound) / RATE)
        for k in range(count):
            colour = np.array([60, 110, 190]) * (1 - k / count) + 90 * k / count
            picture = np.broadcast_to(colour.astype(np.uint8), (96, 160, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1)
            out.mux(pictures.encode(frame))
        out.mux(pictures.encode())
        for start in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(
                sound[None, start : start + 1024], format="fltp", layout="mono"
            )
            block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
            out.mux(audio.encode(block))
        out.mux(audio.encode())


def write_credits(file: Path, bank: Path) -> None:
    with (bank / "manifest.csv").open(newline="", encoding="utf-8") as handle:
        rows = {row["path"]: row for row in csv.DictReader(handle)}
    held = held_out_groups(read_manifest(bank))
    lines = [
        "# Example sounds",
        "",
        "Composed by `make_examples.py` from recordings in the public domain (CC0, or no copyright). The",
        "scenes themselves are CC0. Every recording is a file of a public repository, cut, levelled and",
        "mixed here; those marked *held out* are not among the recordings that the embedded default learns",
        "from.",
        "",
        "| file | what was composed | length |",
        "|---|---|---|",
        *(f"| `{s.name}` | {s.heard} | {s.seconds:g} s |" for s in SCENES),
        "",
        "| heard in | recording (repository: file) | licence as stated there | |",
        "|---|---|---|---|",
    ]
    for scene in SCENES:
        for path in dict.fromkeys(p.path for p in scene.placed):
            row = rows[f"audio/{path}"]
            licence = row["license"].replace("|", "/").rstrip("?")
            if not row["license"].startswith(("CC0", "Public domain")):
                raise ValueError(f"{path} is under {row['license']}: choose a recording in the public domain")
            mark = "held out" if row["group"] in held else ""
            lines.append(
                f"| `{scene.name}` | {row['source_repo']}: {row['original_path']} | {licence} | {mark} |"
            )
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_references(file: Path) -> None:
    """What was composed, as references for `earwitness score`."""
    with file.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(["id", "caption"])
        rows.writerows((Path(scene.name).stem, scene.heard) for scene in SCENES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    for seed, scene in enumerate(SCENES):
        sound, file = composed(arguments.bank, scene, seed), arguments.out / scene.name
        if file.suffix == ".mp4":
            write_video(file, sound)
        elif file.suffix == ".opus":
            soundfile.write(file, sound, RATE, format="OGG", subtype="OPUS")
        else:
            soundfile.write(file, sound, RATE)
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
    write_credits(arguments.out / "CREDITS.md", arguments.bank)
    write_references(arguments.out / "references.csv")


if __name__ == "__main__":
    main()
