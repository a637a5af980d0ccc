"""From networks to masks: memory, propagation, and the segmenter; plain PyTorch."""
