"""Callbacks of the Trainer: checkpoints, predicted masks on disk, progress."""
