"""Where the model comes from: a checkpoint of the operator's, or the one this project brings."""

from inference.models.checkpoint import CheckpointError, check_checkpoint, ensure_model

__all__ = ["CheckpointError", "check_checkpoint", "ensure_model"]
