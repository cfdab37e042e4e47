"""FSDP2 through Trainer: a model whose weights are dealt out to two processes trains as a whole one does.

Accelerate knows FSDP on accelerators alone; told that gloo's processes are such, it does the same here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from safetensors.torch import load_file
from torch.distributed.tensor import DTensor

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.training import run as run_module
from earwitness.training import trainer

pytestmark = pytest.mark.slow

SHARDED = {"fsdp": True, "fsdp_config": {"transformer_layer_cls_to_wrap": ["LlamaDecoderLayer"]}}


def start(data: dict[str, Any], out: Path, runs: Any) -> list[Any]:
    """Two processes that shard; each ends in an error if no weight was in parts."""
    prepared, begun, parts = trainer.fill, PartialState.__init__, []

    def fill(model: Any, *rest: Any) -> None:
        parts.append(any(isinstance(p, DTensor) for p in model.parameters()))
        prepared(model, *rest)

    def as_accelerators(state: PartialState, *args: Any, **kwargs: Any) -> None:
        begun(state, *args, **kwargs)
        state.distributed_type = DistributedType.MULTI_GPU

    def work(_: int) -> None:
        PartialState.__init__ = as_accelerators
        trainer.fill = fill
        run_module.train(Preset.model_validate(data), out)
        assert any(parts)

    return runs.fork_ranks(work)


def without_guide(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe from random weights, for a model without the single number that a Token Guide learns."""
    tokenizer = load_checkpoint(data["init"]).language_model.tokenizer
    for name in ("whole", "parts"):
        tokenizer.save_pretrained(folder / name / "tokenizer")
    return data | {"init": None, "model": data["model"] | {"decoding": {}}}


def test_sharded_weights_train_as_whole_ones_do(clip_recipe, runs, tmp_path, monkeypatch):
    """A process has three clips to evaluate, the other two. Checkpoints hold whole tensors; a run goes on."""
    monkeypatch.setattr("earwitness.training.run.tidy", lambda _: None)  # what a finished stage removes
    data = without_guide(clip_recipe(losses={"info_nce": 0.1}, freeze=["encoder"], batch_size=2), tmp_path)
    runs.write_set(tmp_path / "v", 5, first=100)
    whole = runs.fork_ranks(lambda _: run_module.train(Preset.model_validate(data), tmp_path / "whole"))
    assert runs.finish(*whole) == [0, 0]
    data["stages"][0]["trainer"] |= SHARDED
    assert runs.finish(*start(data, tmp_path / "parts", runs)) == [0, 0]
    (tmp_path / "parts" / "0-train" / "done.json").unlink()  # as if it had been killed in the last step
    shutil.rmtree(tmp_path / "parts" / "0-train" / "checkpoint-6")
    assert runs.finish(*start(data, tmp_path / "parts", runs)) == [0, 0]
    for name in ("loss", "loss/info_nce", "grad_norm", "eval_loss"):
        one, other = (runs.losses(tmp_path / n / "0-train", name) for n in ("whole", "parts"))
        assert one == pytest.approx(other, abs=1e-5) and one, name
    first, second = (load_file(tmp_path / n / "0-train" / "stage.safetensors") for n in ("whole", "parts"))
    assert first.keys() == second.keys()
    assert max((first[k].float() - second[k].float()).abs().max().item() for k in first) < 1e-5


def test_shards_of_weights_need_gpus(clip_recipe, tmp_path):
    data = clip_recipe(trainer=SHARDED)
    with pytest.raises(ConfigError, match="trainer.fsdp"):
        run_module.train(Preset.model_validate(data), tmp_path / "out")
