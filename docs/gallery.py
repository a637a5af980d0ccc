"""Make the gallery's pictures: `python docs/gallery.py CLIPS`, CLIPS being a folder of the clips that are named below.

The studio outlines objects from a box, and a stroke where that is not enough; the default weights follow them.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vos_lightning import VideoSegmenter
from vos_lightning.io.frames import Frame, open_frames
from vos_lightning.io.overlay import overlay
from vos_lightning.studio.outline import Box, Stroke, outline

FOLDER = Path(__file__).parent / "assets"
WIDTH = 320


@dataclass(frozen=True)
class Scene:
    """A clip and what is followed in it.

    Args:
        clip: name of its file; about ten frames a second, short side 256.
        first: frame in which the objects are given.
        shown: frames of the picture, counted from there.
        boxes: around each object.
        strokes: that belong to the last object.
    """

    clip: str
    first: int
    shown: tuple[int, int, int]
    boxes: tuple[Box, ...]
    strokes: tuple[Stroke, ...] = ()


SCENES = {
    "coffee": Scene("sam2_coffee.mp4", 0, (0, 25, 50), ((86, 28, 290, 168), (269, 122, 331, 194))),
    "cups": Scene(
        "sam2_cups_1.mp4", 0, (0, 20, 40), ((128, 149, 159, 181), (202, 102, 264, 194), (293, 102, 357, 193))
    ),
    "dog": Scene("sam2_dog_1.mp4", 0, (0, 20, 40), ((92, 42, 166, 199), (162, 118, 249, 194))),
    "cars": Scene(
        "intel_cars_topview.mp4",
        14,
        (0, 8, 16),
        ((62, 1, 158, 163), (184, 120, 295, 256)),
        tuple(Stroke(((x, 170), (x, 250)), 3, inside=True) for x in (200, 287)),
    ),
}


def main() -> None:
    """Draw every scene."""
    for name, scene in SCENES.items():
        strip(scene, Path(sys.argv[1])).save(FOLDER / f"gallery_{name}.jpg", quality=80, optimize=True)


def strip(scene: Scene, clips: Path) -> Image.Image:
    """The shown frames with their masks, side by side."""
    source = open_frames(clips / scene.clip)
    frames = [source[scene.first + t] for t in range(scene.shown[-1] + 1)]
    masks = VideoSegmenter().segment(frames, given(scene, frames))
    drawn = [overlay(frame, mask) for frame, mask in zip(frames, masks, strict=True)]
    pictures = [Image.fromarray(drawn[t]) for t in scene.shown]
    height = round(WIDTH * pictures[0].height / pictures[0].width)
    result = Image.new("RGB", (len(pictures) * (WIDTH + 4) - 4, height), "white")
    for place, picture in enumerate(pictures):
        result.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (place * (WIDTH + 4), 0))
    return result


def given(scene: Scene, frames: list[Frame]) -> NDArray[np.uint8]:
    """Ids of the outlined objects in the first frame."""
    mask = np.zeros(frames[0].shape[:2], np.uint8)
    for number, box in enumerate(scene.boxes, start=1):
        strokes = scene.strokes if number == len(scene.boxes) else ()
        mask[outline([frames[0], frames[2]], box, strokes)] = number
    return mask


if __name__ == "__main__":
    main()
