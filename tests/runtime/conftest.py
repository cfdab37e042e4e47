"""A tiny model with every part that can be exported, as it is exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import build_tiny_model


@pytest.fixture(scope="session")
def tiny_models() -> Callable[[int], Any]:
    """Seed -> a model of random weights, in eval mode."""
    return lambda seed: build_tiny_model(seed).eval()


@pytest.fixture(scope="session")
def exported(tiny_model, tmp_path_factory) -> Path:
    """A checkpoint and its graphs: tags in the prompt, every guide and penalty, a joint space."""
    import torch

    from earwitness.build import build_model
    from earwitness.checkpoints.folder import save_checkpoint
    from earwitness.checkpoints.onnx_export import export_onnx
    from earwitness.config.model import ModelConfig

    data = tiny_model.config.model_dump()
    data["prompt"] = "<tags>: <audio> heard<bos>"
    data["decoding"] |= {"tag_guide": 3.0, "order_guide": True, "repetition": 2.0, "no_repeat_ngram": 3}
    data["decoding"] |= {"calibration": {"bias": 0.5, "logprob": 1.0, "weakest": 2.0}}
    data["decoding"] |= {"alignment": 8.0, "joint_space": {"dim": 8, "hidden": 16}, "length_penalty": 0.5}
    torch.manual_seed(0)
    model = build_model(ModelConfig.model_validate(data), tiny_model.language_model.tokenizer).eval()
    for parameter in model.parameters():  # large enough that the caption depends on the sound
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    folder = tmp_path_factory.mktemp("exported")
    save_checkpoint(model, folder, half=True)
    export_onnx(folder, folder)  # into its own folder
    return folder
