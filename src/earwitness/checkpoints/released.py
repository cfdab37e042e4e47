"""Load checkpoints that the authors of LOAE, DistillCaps and LAVCap saved.

One conversion function a layout: state dict with the authors' names -> state dict with ours. They serve whole
state dicts and those of trained tensors only, with and without the wrapping of peft.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from earwitness.adapters.fft import fft_state_from_released
from earwitness.adapters.qformer import qformer_state_from_released
from earwitness.checkpoints.folder import trained_tensors
from earwitness.encoders.checkpoints import from_lavcap as ced_from_lavcap
from earwitness.encoders.checkpoints import from_original as ced_from_original
from earwitness.encoders.checkpoints import read_state
from earwitness.model import AudioCaptioningModel
from earwitness.weights import tuning
from earwitness.weights.copying import copy_weights
from earwitness.weights.errors import CheckpointError

State = dict[str, Tensor]

_PEFT = "base_model.model."


def from_loae(state: Mapping[str, Tensor]) -> State:
    """LOAE: encoder.*, speech_query_tokens, speech_former.*, enc_to_dec_proj.*, decoder.*"""
    parts = _split(state, encoder="encoder.", language_model="decoder.")
    adapter = qformer_state_from_released(parts.pop("other"))
    return _joined(parts, ced_from_original, {f"adapter.{k}": v for k, v in adapter.items()})


def from_distillcaps(state: Mapping[str, Tensor]) -> State:
    """DistillCaps: as LOAE, with the FFT adapter fft_mlp.* before the Q-Former."""
    parts = _split(state, encoder="encoder.", language_model="decoder.")
    other = parts.pop("other")
    adapter = {f"adapter.parts.0.{k}": v for k, v in fft_state_from_released(other).items()}
    adapter |= {f"adapter.parts.1.{k}": v for k, v in qformer_state_from_released(other).items()}
    return _joined(parts, ced_from_original, adapter)


def from_lavcap(state: Mapping[str, Tensor]) -> State:
    """LAVCap: audio_encoder.*, logit_scale, speech_llama_proj.*, llama_decoder.*"""
    parts = _split(state, encoder="audio_encoder.", language_model="llama_decoder.")
    names = {
        "logit_scale": "fusion.logit_scale",
        "speech_llama_proj.weight": "adapter.projection.weight",
        "speech_llama_proj.bias": "adapter.projection.bias",
    }
    rest = {names.get(name, name): tensor for name, tensor in parts.pop("other").items()}
    return _joined(parts, ced_from_lavcap, rest)


LAYOUTS: dict[str, Callable[[Mapping[str, Tensor]], State]] = {
    "loae": from_loae,
    "distillcaps": from_distillcaps,
    "lavcap": from_lavcap,
}


def load_released(model: AudioCaptioningModel, path: str | Path, layout: str) -> AudioCaptioningModel:
    """Load the authors' checkpoint into a model of `fidelity: released`; return it in evaluation mode.

    path: a weight file, or a folder with one. layout: a key of LAYOUTS. The checkpoint must hold every tensor
    that the config trains; frozen ones may be left out, and are then those of the towers' own sources.
    Raises CheckpointError naming all that is missing, unexpected or of another shape.
    """
    if layout not in LAYOUTS:
        raise CheckpointError(f"unknown layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
    return fill_released(model, read_state(Path(path)), layout, str(path))


def fill_released(
    model: AudioCaptioningModel, state: Mapping[str, Tensor], layout: str, source: str = "the checkpoint"
) -> AudioCaptioningModel:
    """As `load_released`, from a state dict."""
    converted, own = LAYOUTS[layout](state), model.state_dict()
    # Checkpoints of trained parameters alone lack the batch norm's statistics: those of the source then stay.
    optional = tuning.STATISTICS if model.config.encoder.source is not None else ()
    needed = [name for name in trained_tensors(model) if not name.endswith(optional)]
    copy_weights(converted, own, source, needed=needed)
    return model.eval()


def _split(state: Mapping[str, Tensor], **prefixes: str) -> dict[str, State]:
    """Return the tensors of each part without its prefix and peft's; "other" holds those without one."""
    parts: dict[str, State] = {part: {} for part in (*prefixes, "other")}
    for name, tensor in state.items():
        part = next((p for p, prefix in prefixes.items() if name.startswith(prefix)), "other")
        inner = name.removeprefix(prefixes.get(part, ""))
        parts[part][inner.removeprefix(_PEFT) if part in prefixes else inner] = tensor
    return parts


def _joined(parts: dict[str, State], encoder: Callable[[State], State], rest: State) -> State:
    counters = (".rotary_emb.inv_freq",)  # computed from the config, not a weight
    language_model = {k: v for k, v in parts["language_model"].items() if not k.endswith(counters)}
    return (
        {f"encoder.{name}": tensor for name, tensor in encoder(parts["encoder"]).items()}
        | {f"language_model.model.{name}": tensor for name, tensor in language_model.items()}
        | rest
    )
