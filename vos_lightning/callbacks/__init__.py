"""Callbacks of the Trainer: checkpoints, what is measured and shown while a run goes on, predicted masks on disk."""
