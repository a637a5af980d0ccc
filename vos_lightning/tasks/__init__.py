"""LightningModules: how the networks learn, validate and predict."""
