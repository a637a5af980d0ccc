"""Videos made from a seed, with exact masks."""
