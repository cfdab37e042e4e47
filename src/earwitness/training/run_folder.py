"""What a run folder says of itself: the recipe as resolved, code and machine, fingerprints of the data."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from earwitness.config.errors import ConfigError
from earwitness.config.model import with_decoding
from earwitness.config.preset import Preset
from earwitness.data.shards import open_file
from earwitness.version import __version__

RECIPE, ENVIRONMENT, DATA = "recipe.yaml", "environment.json", "data.json"
PACKAGES = ("torch", "transformers", "accelerate", "peft", "tokenizers", "safetensors", "numpy", "av", "soxr")
FREE = {"workers", "trainer"}  # of a stage: what may change in the middle of a run


def begin(out: Path, preset: Preset, files: list[str], processes: int) -> None:
    """Write recipe, environment and fingerprints; a resumed run must have those it was started with.

    A folder without a started stage, as after a failed start, is free. Raises ConfigError naming
    each
    value that differs from before.
    """
    recipe = preset.model_dump(mode="json")
    found = {path: fingerprint(path) for path in files}
    known = out / RECIPE
    if known.is_file() and any(out.glob("[0-9]*-*/*")):
        before = _today(yaml.safe_load(known.read_text("utf-8")))
        faults = list(_differences(before, recipe))
        count = json.loads((out / ENVIRONMENT).read_text("utf-8"))[-1]["processes"]
        if count != processes:
            faults.append(f"it ran in {count} processes, now {processes}")
        said = json.loads((out / DATA).read_text("utf-8"))
        faults += [f"{path} has changed" for path, mark in found.items() if said.get(path, mark) != mark]
        if faults:
            raise ConfigError(f"{out} has another run; set another --out, or undo:\n  " + "\n  ".join(faults))
    known.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    (out / DATA).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    starts = json.loads((out / ENVIRONMENT).read_text("utf-8")) if (out / ENVIRONMENT).is_file() else []
    starts.append(environment() | {"processes": processes})
    (out / ENVIRONMENT).write_text(json.dumps(starts, indent=1) + "\n", encoding="utf-8")


def _today(before: dict[str, Any]) -> dict[str, Any]:
    """A recipe of an earlier version, with the defaults of settings that came since."""
    before["model"] = with_decoding(before["model"])
    try:
        return Preset.model_validate(before).model_dump(mode="json")
    except ValueError:
        return before  # it has settings that are gone: each is named as a difference


def environment() -> dict[str, Any]:
    """Command, versions and machine; of the working tree the commit, and whether it was changed since."""
    return {
        "command": sys.argv,
        "earwitness": __version__,
        "git": git_version(Path(__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


def git_version(folder: Path) -> str | None:
    """Commit of the working tree that holds the folder ("-dirty": it has changes since), None outside one."""
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return commit.stdout.strip() or None


def fingerprint(place: str) -> str:
    """SHA-256 of a file, by its path or address."""
    digest = hashlib.sha256()
    with open_file(place) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _differences(before: Any, now: Any, place: str = "") -> Any:
    """Lines "place: before -> now", where two recipes differ in what a run must keep."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if not (place.startswith("stages.") and key in FREE):
                yield from _differences(before.get(key), now.get(key), f"{place}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for i, (a, b) in enumerate(zip(before, now)):
            yield from _differences(a, b, f"{place}.{i}")
    elif before != now:
        yield f"{place}: was {before}, is {now}"
