"""Transforms: of clips on the device, of images with masks on the CPU."""
