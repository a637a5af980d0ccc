"""LightningDataModules; import them from `vos_lightning.data`."""
