"""The numbers behind composed scenes, each with its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Distributions from which scenes are drawn.

    Frames are 10 ms, dB are of power unless stated; (a, b) is a range, which excludes b where it is of
    integers; a chance is a probability.
    """

    # Recordings placed for a mention (placing.py)
    level_db: tuple[float, float, float] = (-9.0, 0.0, 3.0)  # mean of a softer, a plain and a louder mention
    bed_db: float = 3.0  # by which a continuous background is softer
    level_deviation_db: float = 4.0  # between mentions
    stretch_deviation_db: float = 1.0  # between the stretches of a mention
    speed_deviation: float = 0.12  # of the natural logarithm of the speed
    pitch_deviation: float = 1.3  # mel bins
    wet_db: tuple[float, float] = (-25.0, 3.0)  # reverberant part, relative to the direct one
    first_label_weight: float = 2.0  # of a concept's first label, which is its main meaning
    bed_stretches: int = 60  # maximum stretches of a background
    bed_overlap: int = 5  # frames that its stretches share
    repeats: tuple[int, ...] = (1, 1, 2, 3, 5)  # of an event
    many_repeats: tuple[int, int] = (3, 13)  # of an event that the caption calls many
    gaps: tuple[float, ...] = (8.0, 25.0, 80.0)  # mean frames between repeats
    speech_repeats: tuple[int, int] = (2, 6)
    speech_gaps: tuple[float, ...] = (10.0, 40.0)  # mean frames
    timbre_knots: int = 5
    timbre_db: float = 4.0  # deviation at the knots
    lean_chance: float = 0.5  # that a timbre is tilted towards another recording of the label
    lean_most: float = 0.8  # share of the difference

    # Phases of a caption (composer.py)
    span_concentration: float = 4.0  # of the Dirichlet distribution of the phases' durations
    span_overlap: tuple[int, int] = (0, 40)  # frames
    span_shortest: int = 60  # frames

    # Template captions
    template_labels: tuple[float, ...] = (0.45, 0.4, 0.15)  # chances of one, two and three labels
    template_many: float = 0.4  # chance that a label's sound is repeated
    template_joint: float = 0.4  # chance that the next label follows, instead of sounding at the same time

    # Channel
    noise_db: tuple[float, float] = (-60.0, -8.0)  # relative to the loudest stretch
    noise_tilt: tuple[float, float] = (-0.25, 0.25)  # mean and deviation, dB per mel bin
    reverb_chance: float = 0.6
    reverb_seconds: tuple[float, float] = (0.15, 2.5)  # RT60, log-uniform
    high_cut_chance: float = 0.4
    high_cut: tuple[int, int] = (28, 62)  # mel bins
    cut_slopes: tuple[float, ...] = (1.5, 4.0, 12.0)  # dB per mel bin
    low_cut_chance: float = 0.3
    low_cut: tuple[int, int] = (1, 10)  # mel bins
    equaliser_knots: int = 6
    equaliser_db: float = 3.5  # deviation at the knots
    compression_chance: float = 0.4
    compression: tuple[float, float] = (0.1, 0.6)  # share of the loudness swing that is removed
    holes_chance: float = 0.3
    holes_db: tuple[float, float] = (30.0, 60.0)  # below a frame's loudest bin, where a codec removes all
    grain_chance: float = 0.2
    grain_db: tuple[float, float] = (0.0, 3.0)
    peak_db: tuple[float, float] = (-26.0, 0.0)  # amplitude, relative to full scale
