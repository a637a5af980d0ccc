"""Follow objects through a video, one frame at a time: memory, readout, and the two papers' propagators."""
