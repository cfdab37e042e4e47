"""Progress bars: nothing for short jobs; what is at work for long ones, even within one step."""

from __future__ import annotations

import time

from earwitness.cli import progress


def test_a_short_job_shows_nothing(capsys):
    with progress.StepProgress() as bar:
        for number in range(3):
            bar("meteor", number, 3)
    assert capsys.readouterr().err == ""


def test_a_long_step_is_named_while_it_works(capsys, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.05)
    with progress.StepProgress() as bar:
        bar("rouge_l", 0, 2)
        bar("meteor", 1, 2)
        for _ in range(100):
            if "meteor" in (shown := capsys.readouterr().err):
                break
            time.sleep(0.05)
    assert "meteor" in shown and "1/2" in shown
