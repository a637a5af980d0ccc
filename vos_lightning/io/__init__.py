"""Frames and masks in and out: videos, folders of images, indexed PNGs, overlays."""
