"""The sections of a preset that say how captions are decoded, chosen and corrected."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from earwitness.config.section import Section


class GuideConfig(Section):
    distance: Literal["squared_l2", "l1", "cosine"] = "squared_l2"
    beta: float = 0.1


class JointSpaceConfig(Section):
    """Where beams are compared with the sound, in place of the language model's embeddings."""

    dim: int = Field(384, ge=1)
    hidden: int = Field(512, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)  # of what sounds are told by, in training


class RetrievalConfig(Section):
    """Captions of similar sounds in the prompt (DistillCaps)."""

    prompt: str = "Similar audios sound like:\n\n<captions>\n\nDescribe the detail of this audio:<audio>"
    count: int = Field(3, ge=1)  # captions retrieved for a clip


class RerankConfig(Section):
    """The beam that matches the sound best is told, where that is asked for (SLAM-AAC)."""

    kind: Literal["clap"] = "clap"
    source: str = "laion/clap-htsat-unfused"  # hub name or folder
    weight: float = Field(0.0, ge=0)  # of the mean log-probability beside the cosine


class CorrectionConfig(Section):
    """Captions that read as faulty are rewritten, where that is asked for (LOAE)."""

    kind: Literal["causal"] = "causal"
    source: str  # hub name or folder of an instruction-tuned language model
    detector: str  # file of FENSE's error detector
    detector_encoder: str | None = None  # folder of the BERT it names, where that is not to be fetched
    threshold: float = Field(0.90, ge=0, le=1)  # probability of error from which a caption is rewritten
