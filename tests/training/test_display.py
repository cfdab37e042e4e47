"""What is shown of a run: the time that is left, an evaluation's lines, curves of a report."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from earwitness.training import display
from earwitness.training.curves import BOTTOM, HEIGHT, LEFT, WIDTH, curves, picture
from earwitness.training.display import Display, duration, evaluation_lines


def state(step: int, most: int = 100) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, max_steps=most, epoch=0.5, is_world_process_zero=True)


def test_the_time_left_is_the_mean_step_so_far_times_the_steps_that_remain(monkeypatch) -> None:
    lines: list[str] = []
    clock = iter([1000.0, 1030.0, 1060.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    own = Display("captions", clips=8, later=400, say=lines.append)
    own.on_log(None, state(0), None, {"loss": 2.0})
    for step in (10, 20):  # the start is that of the first step alone; this run resumed at step 10
        own.on_step_begin(None, state(step), None)
    own.on_log(None, state(20), None, {"loss": 1.23456, "grad_norm": 0.5, "entropy": 3.0})
    own.on_log(None, state(40), None, {"loss": 1.0})
    assert lines[0] == "captions: step 0 of 100, epoch 0.50, loss 2"
    # 30 s for 10 steps; 80 steps remain, and 400 clips of later stages, 8 a step
    assert lines[1] == (
        "captions: step 20 of 100, epoch 0.50, loss 1.235, grad_norm 0.5, 3 s a step, 4 min left, "
        "about 6 min of the recipe"
    )
    assert lines[2].endswith("loss 1, 2 s a step, 2 min left, about 4 min of the recipe")
    alone = Display("captions", clips=8, say=lines.append)
    assert alone._time(state(5)) == []


def test_other_processes_and_silent_runs_print_nothing() -> None:
    lines: list[str] = []
    other = state(1)
    other.is_world_process_zero = False
    Display("x", clips=1, say=lines.append).on_log(None, other, None, {"loss": 1.0})
    Display("x", clips=1, say=None).on_log(None, state(1), None, {"loss": 1.0})
    Display("x", clips=1, say=lines.append).on_log(None, state(1), None, {})
    assert not lines


def test_an_evaluation_is_one_line_of_figures_and_two_of_each_sample() -> None:
    logs = {"eval_loss": 1.23456, "eval_map": 0.5, "step": 3, "sample_0": "a dog (wanted: a dog barks)"}
    assert evaluation_lines(logs) == [
        "  validation: loss 1.235, map 0.5",
        "    caption  a dog",
        "    wanted   a dog barks",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89.0, "89 s"),
        (90.0, "2 min"),
        (5399.0, "90 min"),
        (5400.0, "1.5 h"),
        (36_000.0, "10.0 h"),
    ],
)
def test_durations(seconds, text) -> None:
    assert duration(seconds) == text


def test_curves_join_what_training_and_validation_call_alike() -> None:
    rows = [
        {"step": 1, "loss/caption": 3.0, "epoch": 0.1, "train_runtime": 9.0},
        {"step": 2, "eval_caption": 2.5, "sample_0": "text", "flag": True},
        {"step": 3, "loss/caption": 2.0},
    ]
    assert curves(rows) == {"caption": {"training": [(1, 3.0), (3, 2.0)], "validation": [(2, 2.5)]}}


def test_a_picture_spans_all_points_from_the_first_step_to_the_last_and_rises_with_the_value() -> None:
    drawn = picture("loss", {"training": [(10, 4.0), (20, 2.0), (30, 3.0)], "validation": [(30, 0.0)]})
    lines = [
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'<polyline points="([^"]*)"', drawn)
    ]
    top, bottom, right = 4.0, HEIGHT - BOTTOM - 4.0, WIDTH - 4.0
    middle = (LEFT + right) / 2
    assert lines == [
        [(LEFT, top), (middle, (top + bottom) / 2), (right, top + (bottom - top) / 4)],
        [(right, bottom)],
    ]
    level = picture("x", {"training": [(5, 1.0)]})  # of one point there is no span
    assert f'points="{LEFT:.1f},{bottom:.1f}"' in level
