import math
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.losses import info_nce

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "lamb.npz")


@pytest.mark.parametrize("i", range(4))
def test_equals_golden(i: int) -> None:
    audio, text = torch.from_numpy(GOLDEN["pooled_a"]), torch.from_numpy(GOLDEN["pooled_t"])
    temperature = float(GOLDEN["nce/temperature"][i])
    assert info_nce(audio, text, temperature).item() == pytest.approx(GOLDEN["nce/loss"][i], abs=1e-10)


def test_uniform_similarities_give_log_batch_and_perfect_ones_zero() -> None:
    same = torch.ones(7, 4)
    assert info_nce(same, same).item() == pytest.approx(math.log(7), rel=1e-6)
    assert info_nce(torch.eye(7), torch.eye(7) * 3.0, 0.01).item() == pytest.approx(0.0, abs=1e-6)


def test_is_symmetric_and_blind_to_length() -> None:
    audio, text = torch.randn(5, 8, dtype=torch.float64), torch.randn(5, 8, dtype=torch.float64)
    torch.testing.assert_close(info_nce(audio, text), info_nce(text, audio))
    torch.testing.assert_close(info_nce(audio * 9.0, text * 0.1), info_nce(audio, text))


def test_a_learnable_temperature_gets_a_gradient() -> None:
    temperature = torch.tensor(0.1, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = info_nce(torch.randn(4, 8).bfloat16(), torch.randn(4, 8).bfloat16(), temperature)
    loss.backward()
    assert loss.dtype == torch.float32
    assert temperature.grad is not None and temperature.grad != 0


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\[B, D\] of one shape"):
        info_nce(torch.randn(4, 8), torch.randn(5, 8))


def test_the_name_stays_the_function_after_its_module_was_imported() -> None:
    import importlib

    import earwitness.losses

    importlib.import_module("earwitness.losses.info_nce")
    assert callable(earwitness.losses.info_nce)
