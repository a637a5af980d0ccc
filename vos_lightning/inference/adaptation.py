"""Online adaptation: a U-Net learns one sequence from its propagated masks, and draws them anew (SSVOS §3.3)."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

import torch

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.adaptation_curve import Monitor
from vos_lightning.inference.adaptation_frames import Pixels, Seen
from vos_lightning.inference.adaptation_masks import Ids
from vos_lightning.inference.adaptation_sequence import SequenceAdapter
from vos_lightning.inference.adaptation_settings import AdapterSettings
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.transforms.images import resize_image


def adapt(
    frames: Iterable[Pixels],
    masks: Iterable[Ids],
    *,
    given: Mapping[int, Ids] | None = None,
    settings: AdapterSettings | None = None,
    sequence: str = "",
    device: str | torch.device = "cpu",
    monitor: Monitor | None = None,
) -> Iterator[Ids]:
    """Learn the objects' looks from propagated masks, and draw the masks anew.

    Nothing is shared between sequences: each has fresh weights, optimizer and random numbers. Works as well under
    Lightning's inference mode and autocast.

    Offline, frames are gone through twice, before and after learning. Those of an iterator, such as a generator, come
    once, so copies of `settings.size` pixels are kept of all of them. Of frames on disk (`open_frames`), a list or an
    array no more than `settings.max_frames` are kept.

    Args:
        frames: RGB uint8, each (H, W, 3).
        masks: propagated ids, (H, W) uint8, one per frame; may be made as they are asked for.
        given: masks that the user gave, by frame: they are kept as they are. None: the first mask that isn't empty.
        settings: how to learn; None takes the preset for the device.
        sequence: name; seeds all that is random.
        device: where the adapter runs.
        monitor: looks on while it learns.

    Yields:
        (H, W) uint8 ids, one per frame. Offline the first comes after the training.

    Raises:
        VOSError: frames and masks differ in number or size.
    """
    again = None if iter(frames) is frames else frames
    settings = settings or AdapterSettings.preset(device)
    return adapt_pairs(_checked(frames, masks), again, given, settings, sequence, device, monitor)


def adapt_pairs(
    pairs: Iterable[tuple[Pixels, Ids]],
    again: Iterable[Pixels] | None,
    given: Mapping[int, Ids] | None,
    settings: AdapterSettings,
    sequence: str = "",
    device: str | torch.device = "cpu",
    monitor: Monitor | None = None,
) -> Iterator[Ids]:
    """As `adapt`, for frames that come with their masks.

    Args:
        pairs: frames and their propagated ids.
        again: the frames once more; None where they come only once.
        given: see `adapt`, as the others.
        settings: how to learn.
        sequence: name.
        device: where the adapter runs.
        monitor: looks on.
    """
    adapter = SequenceAdapter(settings, sequence, device, given)
    if settings.mode == "causal":
        return _causal(adapter, pairs, monitor)
    return _offline(adapter, pairs, again, monitor)


def _offline(
    adapter: SequenceAdapter,
    pairs: Iterable[tuple[Pixels, Ids]],
    again: Iterable[Pixels] | None,
    monitor: Monitor | None,
) -> Iterator[Ids]:
    """Learn the whole sequence, then segment it."""
    size, kept, seen = adapter.settings.size, list[Pixels](), list[Seen]()
    for frame, ids in pairs:
        image = resize_image(frame, size)
        seen.append(adapter.observe(image, ids))
        if again is None:
            kept.append(image)
    _train(adapter, adapter.settings.steps, monitor)
    images = kept if again is None else (resize_image(frame, size) for frame in BackgroundReader(again))
    for image, one in zip(images, seen, strict=True):
        yield adapter.segment(image, one)


def _causal(adapter: SequenceAdapter, pairs: Iterable[tuple[Pixels, Ids]], monitor: Monitor | None) -> Iterator[Ids]:
    """Segment each frame with what was learned from those before."""
    settings = adapter.settings
    for t, (frame, ids) in enumerate(pairs):
        if t and t % settings.refresh_every == 0:
            _train(adapter, settings.refresh_steps, monitor)
        image = resize_image(frame, settings.size)
        yield adapter.segment(image, adapter.observe(image, ids))


def _train(adapter: SequenceAdapter, steps: int, monitor: Monitor | None) -> None:
    if monitor is None:
        adapter.train(steps)
    else:
        adapter.train(steps, monitor.every, lambda: monitor.look(adapter))


def _checked(frames: Iterable[Pixels], masks: Iterable[Ids]) -> Iterator[tuple[Pixels, Ids]]:
    """Pairs of one size."""
    for t, (frame, ids) in enumerate(zip_longest(frames, masks)):
        if frame is None or ids is None:
            raise VOSError(f"adapt: frames and masks differ in number, from frame {t} on; give one mask per frame")
        if ids.shape != frame.shape[:2]:
            raise MaskError(
                f"adapt: the mask of frame {t} is {ids.shape}, the frame {frame.shape[:2]}; give masks of its size"
            )
        yield frame, ids
