"""Datasets as tar files, for reading over a network."""
