"""What is wrong with weights, without importing torch."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Weights that cannot be loaded as they are; the message names the file or folder and the tensors."""
