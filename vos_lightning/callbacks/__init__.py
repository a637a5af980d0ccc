"""Callbacks of the Trainer: checkpoints, measurements, pictures, predicted masks on disk."""
