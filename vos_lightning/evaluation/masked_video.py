"""One video with its masks, in the forms that other tools take: each of them is one file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vos_lightning.errors import VOSError
from vos_lightning.evaluation.protocols import some
from vos_lightning.io.cutouts import TransparentVideoWriter, cutout, png_bytes
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frames import Frame, FrameSource, open_frames
from vos_lightning.io.masks import read_mask, read_palette
from vos_lightning.io.overlay import overlay
from vos_lightning.io.palette import complete_palette
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.io.run_lengths import run_lengths
from vos_lightning.io.writers import VideoWriter

Ids = NDArray[np.uint8]
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class MaskedVideo:
    """A video and its masks; both are read as they are needed.

    Args:
        name: of the video.
        frames: its frames.
        mask: gives the ids (H, W) of a frame by its index.
        palette: colours of the ids, None for `DAVIS_PALETTE`.
        labels: what objects are called, by id; others are `object N`.
    """

    name: str
    frames: FrameSource
    mask: Callable[[int], Ids]
    palette: bytes | None = None
    labels: dict[int, str] = field(default_factory=dict)

    def masks(self) -> Iterator[tuple[str, Ids]]:
        """Frame names with their masks."""
        for index, name in enumerate(self.frames.names):
            yield name, self.mask(index)

    def pairs(self) -> Iterator[tuple[str, Frame, Ids]]:
        """Frame names with frames and masks.

        Raises:
            VOSError: a mask of another size than its frame.
        """
        for frame, (name, ids) in zip(BackgroundReader(self.frames), self.masks(), strict=False):
            if ids.shape != frame.shape[:2]:
                raise VOSError(
                    f"the mask of frame {name} is {ids.shape[1]}×{ids.shape[0]}, the frame "
                    f"{frame.shape[1]}×{frame.shape[0]}; give masks of the frames' size"
                )
            yield name, frame, ids

    def label(self, object_id: int) -> str:
        """What an object is called."""
        return self.labels.get(object_id, f"object {object_id}")


def masked_video(masks: Path, video: Path) -> MaskedVideo:
    """A video with the folder of its masks: PNGs named after the frames, as `segment` writes them.

    Raises:
        VOSError: the video can't be read, or a frame has no mask.
    """
    frames = open_frames(video)
    names = frames.names
    missing = [f"{name}.png" for name in names if not (masks / f"{name}.png").is_file()]
    if missing:
        raise VOSError(f"{masks}: lacks {some(missing)} of the {len(names)} frames; give the masks of this video")
    name = video.stem if video.is_file() else video.resolve().name
    return MaskedVideo(
        name, frames, lambda index: read_mask(masks / f"{names[index]}.png"), read_palette(masks / f"{names[0]}.png")
    )


def write_masks(video: MaskedVideo, path: Path) -> None:
    """A zip of palette PNGs named after the frames, in a folder named after the video: what `evaluate` scores."""
    with _archive(path) as archive:
        for name, ids in video.masks():
            archive.writestr(f"{video.name}/{name}.png", _palette_png(ids, video.palette))


def write_overlay(video: MaskedVideo, path: Path) -> None:
    """An mp4 of the masks over the frames."""
    with VideoWriter(path, video.frames.fps, video.frames) as writer:
        for _, frame, ids in video.pairs():
            writer.write(overlay(frame, ids))


def write_cutouts(video: MaskedVideo, path: Path) -> None:
    """A zip of PNGs in which all but the objects is transparent."""
    with _archive(path) as archive:
        for name, frame, ids in video.pairs():
            archive.writestr(f"{video.name}/{name}.png", png_bytes(cutout(frame, ids)))


def write_cutout_video(video: MaskedVideo, path: Path) -> None:
    """A WebM in which all but the objects is transparent."""
    with TransparentVideoWriter(path, video.frames.fps) as writer:
        for _, frame, ids in video.pairs():
            writer.write(cutout(frame, ids))


def write_coco(video: MaskedVideo, path: Path) -> None:
    """A JSON of COCO: every frame is an image, every object in it an annotation with run lengths."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    seen: set[int] = set()
    for number, (name, ids) in enumerate(video.masks(), start=1):
        height, width = ids.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for object_id in np.unique(ids[ids > 0]).tolist():
            inside = ids == object_id
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            seen.add(object_id)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": object_id,
                    "segmentation": run_lengths(inside),
                    "area": int(inside.sum()),
                    "bbox": [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": object_id, "name": video.label(object_id)} for object_id in sorted(seen)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def write_davis(video: MaskedVideo, path: Path) -> None:
    """A zip in the layout of DAVIS 2017: frames, annotations, and the video as the validation set."""
    with _archive(path) as archive:
        for name, frame, ids in video.pairs():
            archive.writestr(f"JPEGImages/480p/{video.name}/{name}.jpg", _jpeg(frame))
            archive.writestr(f"Annotations/480p/{video.name}/{name}.png", _palette_png(ids, video.palette))
        for image_set, content in (("val", f"{video.name}\n"), ("train", "")):
            archive.writestr(f"ImageSets/2017/{image_set}.txt", content)


def write_youtube(video: MaskedVideo, path: Path) -> None:
    """A zip in the layout of YouTube-VOS: frames, annotations and meta.json, as the validation set."""
    present: dict[int, list[str]] = {}
    with _archive(path) as archive:
        for name, frame, ids in video.pairs():
            archive.writestr(f"valid/JPEGImages/{video.name}/{name}.jpg", _jpeg(frame))
            archive.writestr(f"valid/Annotations/{video.name}/{name}.png", _palette_png(ids, video.palette))
            for object_id in np.unique(ids[ids > 0]).tolist():
                present.setdefault(object_id, []).append(name)
        objects = {str(i): {"category": video.label(i), "frames": names} for i, names in sorted(present.items())}
        archive.writestr("valid/meta.json", json.dumps({"videos": {video.name: {"objects": objects}}}))


@dataclass(frozen=True)
class Form:
    """One way to take a masked video away.

    Args:
        title: what it is, in a few words.
        suffix: of the file.
        write: makes it.
    """

    title: str
    suffix: str
    write: Callable[[MaskedVideo, Path], None]


FORMS = {
    "masks": Form("masks as palette PNGs", "-masks.zip", write_masks),
    "overlay": Form("video of the masks over the frames", "-overlay.mp4", write_overlay),
    "cutouts": Form("objects cut out, as transparent PNGs", "-cutouts.zip", write_cutouts),
    "cutout-video": Form("objects cut out, as transparent video", "-cutout.webm", write_cutout_video),
    "coco": Form("run lengths for COCO tools", "-coco.json", write_coco),
    "davis-layout": Form("data set in the layout of DAVIS", "-davis.zip", write_davis),
    "youtube-layout": Form("data set in the layout of YouTube-VOS", "-youtube-vos.zip", write_youtube),
}


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file that is there whole or not at all."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        yield archive


def _palette_png(ids: Ids, palette: bytes | None) -> bytes:
    image = Image.fromarray(ids)
    image.putpalette(complete_palette(palette))
    with BytesIO() as file:
        image.save(file, format="PNG")
        return file.getvalue()


def _jpeg(frame: Frame) -> bytes:
    with BytesIO() as file:
        Image.fromarray(frame).save(file, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return file.getvalue()
