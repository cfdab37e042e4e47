"""Export a trained model: LoRA merged into its weights, PEFT adapters, a hub repository.

The checkpoint folder itself (checkpoints/folder.py) is safetensors already.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file
from torch import nn

from earwitness.build import towers
from earwitness.checkpoints.folder import save_checkpoint
from earwitness.config.model import ModelConfig
from earwitness.config.towers import Tower
from earwitness.model import AudioCaptioningModel
from earwitness.weights.errors import CheckpointError

LANGUAGE_MODEL = "language_model"  # folder of a merged language model inside its checkpoint


def merge_lora(model: AudioCaptioningModel) -> AudioCaptioningModel:
    """Merge LoRA into the weights that it adapts: W + alpha / r * B A, in W's precision. In place.

    Its config then has `tune: full` for those towers. The exported model is the same function without
    dropout, a little faster, and free of peft.
    """
    from peft.tuners.lora import LoraLayer

    changed = {}
    for slot, section in _with_lora(model.config).items():
        tower = getattr(model, slot)
        for name, module in list(tower.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge(safe_merge=True)
                parent, _, child = name.rpartition(".")
                setattr(tower.get_submodule(parent), child, module.get_base_layer())
        changed[slot] = section.model_copy(update={"tune": "full"})
    model.config = model.config.model_copy(update=changed)
    return model


def save_merged(model: AudioCaptioningModel, folder: str | Path) -> None:
    """Write a checkpoint with LoRA merged (see `merge_lora`, which changes the model).

    A language model that came from a source of its own is written to folder/language_model as transformers
    saves it, for engines that serve it from embeddings; the checkpoint names that folder as its source.
    """
    folder = Path(folder)
    borrowed = model.config.language_model.source is not None
    merge_lora(model)
    if borrowed:
        language_model = model.language_model
        language_model.model.save_pretrained(folder / LANGUAGE_MODEL)
        language_model.tokenizer.save_pretrained(folder / LANGUAGE_MODEL)
        update = {"source": LANGUAGE_MODEL, "tune": "freeze", "quantize": None}
        section = model.config.language_model.model_copy(update=update)
        model.config = model.config.model_copy(update={"language_model": section})
    save_checkpoint(model, folder)


def save_peft(model: AudioCaptioningModel, folder: str | Path) -> list[Path]:
    """Write the LoRA of each tower as a PEFT adapter in folder/SLOT, for `peft.PeftModel.from_pretrained`.

    Returns the folders. Raises CheckpointError if nothing was trained with LoRA.
    """
    from peft import LoraConfig

    written = []
    for slot, section in _with_lora(model.config).items():
        tower: nn.Module = getattr(model, slot)
        tower = tower.model if slot == "language_model" else tower  # type: ignore[assignment]
        target = Path(folder) / slot
        target.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"base_model.model.{name.replace('.default.', '.')}": tensor.contiguous().cpu()
            for name, tensor in tower.state_dict().items()
            if "lora_" in name
        }
        save_file(tensors, target / "adapter_model.safetensors", metadata={"format": "pt"})
        lora = section.lora
        LoraConfig(
            base_model_name_or_path=section.source,
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            inference_mode=True,
        ).save_pretrained(str(target))
        written.append(target)
    if not written:
        raise CheckpointError("no tower of this model was trained with LoRA: there is no adapter to save")
    return written


def push_to_hub(model: AudioCaptioningModel, name: str, *, private: bool = False) -> str:
    """Upload the checkpoint with its model card to the hub repository `name`; return its address.

    Log in first (`hf auth login`). Raises CheckpointError for a model without a card.
    """
    from huggingface_hub import HfApi

    if not model.card:
        raise CheckpointError("this model has no card (README.md): describe it in model.card, then push")
    hub = HfApi()
    with TemporaryDirectory() as folder:
        save_checkpoint(model, folder)
        try:
            address = hub.create_repo(name, private=private, exist_ok=True)
            hub.upload_folder(repo_id=name, folder_path=folder, commit_message="earwitness checkpoint")
        except Exception as error:  # the hub's client raises errors of several libraries
            reason = " ".join(str(error).split()) or type(error).__name__
            raise CheckpointError(
                f"--push {name}: the hub did not take the checkpoint ({reason[:300]}); is there a network, "
                "and did you log in with `hf auth login`? Without a network, upload the folder later"
            ) from error
    return str(address)


def _with_lora(config: ModelConfig) -> dict[str, Tower]:
    return {slot: section for slot, section in towers(config).items() if section.tune == "lora"}
