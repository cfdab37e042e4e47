"""Synthetic recordings of sounds that a bank lacks: engines, sirens, wind, rain, clicks, rustles.

Collections lack common sounds of videos: a bank of thousands of recordings may have three of a motorcycle and
one of a beep. Physics describes such sounds well: pulses through resonances, shaped noise, bubbles, struck
bodies (Farnell, Designing Sound, 2010). All parameters of a recording are drawn from (label, number).
Synthetic recordings are for training only; models are evaluated on real ones.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from functools import cache
from importlib import resources

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis import alarms, bells, impacts, insects, machines, nature, rubbing, vehicles
from earwitness.scenes.synthesis.signals import Signal, span

SOURCE = "earwitness synthesis"

Maker = Callable[[Generator, int], Signal]

MAKERS: dict[str, Maker] = {
    # engines and vehicles
    "boat engine": vehicles.boat,
    "bus engine": vehicles.truck,
    "car engine running": vehicles.car,
    "car engine starting": vehicles.starting,
    "car passing by": vehicles.car_passing,
    "chainsaw": vehicles.chainsaw,
    "generator running": vehicles.lawn_mower,
    "helicopter flying": vehicles.helicopter,
    "jet airplane": vehicles.jet,
    "motorcycle engine": vehicles.motorcycle,
    "propeller airplane": vehicles.propeller,
    "race car engine": vehicles.race_car,
    "street traffic": vehicles.traffic,
    "subway train": vehicles.train,
    "tires screeching": vehicles.screech,
    "train running": vehicles.train,
    "truck engine": vehicles.truck,
    # motors and tools
    "angle grinder": machines.grinder,
    "blender": machines.blender,
    "electric hum": machines.hum,
    "electric saw": machines.grinder,
    "fan running": machines.fan,
    "hammering": impacts.hammering,
    "hand dryer": machines.hair_dryer,
    "jackhammer": machines.jackhammer,
    "machine hammering": machines.jackhammer,
    "machine humming": machines.machine,
    "microwave": machines.microwave,
    "power drill": machines.drill,
    "printer": machines.printer,
    "sawing": rubbing.sawing,
    "sewing machine": machines.sewing_machine,
    "vacuum cleaner": machines.vacuum_cleaner,
    "washing machine": machines.washing_machine,
    "windshield wipers": machines.wipers,
    # alarms, horns, bells
    "air horn": alarms.air_horn,
    "alarm clock ringing": alarms.alarm,
    "alarm ringing": alarms.alarm,
    "beeping": lambda rng, n: alarms.beeps(rng, n, (600, 3500), (0.2, 1.8), (0.15, 0.6)),
    "bell ringing": bells.bell,
    "bicycle bell": bells.bicycle_bell,
    "car horn honking": alarms.car_horn,
    "church bell ringing": bells.church_bells,
    "clock ticking": bells.ticking,
    "kettle whistling": alarms.kettle,
    "morse code beeps": alarms.morse,
    "radio static": alarms.static,
    "railroad crossing bell": bells.crossing_bell,
    "reversing beeps": lambda rng, n: alarms.beeps(rng, n, (900, 1500), (0.7, 1.3), (0.45, 0.55)),
    "ship horn": alarms.ship_horn,
    "siren wailing": alarms.siren,
    "static noise": alarms.static,
    "telephone ringing": alarms.telephone,
    "train horn": alarms.train_horn,
    "train whistle": alarms.steam_whistle,
    "vinyl crackle": alarms.vinyl,
    "whistle blowing": alarms.referee_whistle,
    "whistling": alarms.whistling,
    "wind chimes": bells.wind_chimes,
    # weather, water, fire, leaves, insects
    "air hissing": nature.release,
    "bee buzzing": insects.bee,
    "blizzard wind": nature.wind,
    "bubbles": nature.bubbles,
    "cicadas buzzing": insects.cicadas,
    "crickets chirping": insects.crickets,
    "fire crackling": nature.fire,
    "flies buzzing": insects.fly,
    "frying food": nature.frying,
    "hydraulic hiss": nature.release,
    "insect buzzing": insects.fly,
    "leaves rustling": nature.leaves,
    "mosquito buzzing": insects.mosquito,
    "ocean waves": nature.waves,
    "rain falling": nature.rain,
    "shower running": nature.shower,
    "spraying": nature.spray,
    "steam hissing": nature.hiss,
    "stream flowing": nature.stream,
    "thunder rumbling": nature.thunder,
    "toilet flushing": nature.flushing,
    "wasp buzzing": insects.bee,
    "water boiling": nature.boiling,
    "water draining": nature.draining,
    "water dripping": nature.dripping,
    "water hose spraying": nature.spray,
    "water pouring": nature.pouring,
    "water running": nature.tap,
    "water splashing": nature.splashing,
    "waterfall": nature.waterfall,
    "wind blowing": nature.wind,
    # blows, rustles, shots, people
    "applause": impacts.applause,
    "breathing heavily": rubbing.breathing,
    "brushing": rubbing.brushing,
    "button click": impacts.clicks,
    "camera shutter": impacts.shutter,
    "chopping food": impacts.chopping,
    "clapping": impacts.clapping,
    "cloth rustling": rubbing.cloth,
    "coins clinking": impacts.coins,
    "door creaking": rubbing.creak,
    "fireworks": impacts.fireworks,
    "footsteps": impacts.walking,
    "footsteps on gravel": impacts.gravel,
    "glass clinking": impacts.glass,
    "heartbeat": impacts.heartbeat,
    "horse galloping": impacts.hooves,
    "knocking on door": impacts.knocks,
    "metal clanking": impacts.metal,
    "mouse clicking": impacts.clicks,
    "page turning": rubbing.paper,
    "paper rustling": rubbing.paper,
    "paper tearing": rubbing.tearing,
    "person snoring": rubbing.snoring,
    "plastic bag rustling": rubbing.bag,
    "plastic impact": impacts.plastic,
    "scraping": rubbing.scraping,
    "squeaking": rubbing.squeak,
    "stone impact": impacts.stones,
    "switch clicking": impacts.clicks,
    "washing dishes": impacts.dishes,
    "whoosh": rubbing.whoosh,
    "wood creaking": rubbing.creak,
    "wood impact": impacts.wood,
    "woodpecker pecking": impacts.pecking,
}


def synthesise(label: str, number: int) -> np.ndarray:
    """float32 [3 to 8 seconds at 16 kHz], peak at one half: that recording of the label. Errors: KeyError."""
    key = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    rng = np.random.default_rng((key, number))
    n = int(span(rng, 3.0, 8.0) * SAMPLE_RATE)
    made = MAKERS[label](rng, n)
    return (0.5 * made / max(float(np.abs(made).max()), 1e-9)).astype(np.float32)


@cache
def fingerprint() -> str:
    """Hexadecimal SHA-256 of the package's code: cached frames are recomputed when it changes.

    Imports, docstrings, comments and layout do not count: moving or rewording a file changes no recording.
    """
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    code = [code_alone(file.read_text("utf-8")) for file in files if file.name.endswith(".py")]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def code_alone(source: str) -> str:
    """The source of a module without its imports, docstrings, comments and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_silent(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_silent(part: ast.AST) -> bool:
    """Whether a statement is an import or a text that stands alone."""
    return isinstance(part, ast.Import | ast.ImportFrom) or (
        isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
    )
