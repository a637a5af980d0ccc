"""Training clips: which frames, read as squares, batched."""
