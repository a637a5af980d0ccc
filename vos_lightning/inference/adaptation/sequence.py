"""The whole way of one sequence: observe, train, segment; offline or causal."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

import torch

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.adaptation.adapter import ObservedFrame, SequenceAdapter
from vos_lightning.inference.adaptation.curve import Monitor
from vos_lightning.inference.adaptation.settings import AdapterSettings
from vos_lightning.inference.packed_mask import Ids
from vos_lightning.io.prefetch import BackgroundReader
from vos_lightning.transforms.images import Pixels, resize_image


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
    """Train a network on the propagated masks of a sequence, and predict its masks anew.

    Nothing is shared between sequences: each starts with untrained weights, an optimizer and random numbers of its own.
    Works under Lightning's inference mode and autocast as well.

    Offline, frames are read twice, before and after training. Those of an iterator, such as a generator, can be read
    once only, so copies of `settings.size` pixels are kept of all of them. Of frames on disk (`open_frames`), a list or
    an array no more than `settings.max_frames` are kept.

    Args:
        frames: RGB uint8, each (H, W, 3).
        masks: propagated ids, (H, W) uint8, one per frame; may be made as they are asked for.
        given: masks that the user gave, by frame; they are returned unchanged. None: the first mask that isn't empty.
        settings: of training and segmentation; None takes the preset for the device.
        sequence: name; part of the seed of order and augmentation.
        device: where the adapter runs.
        monitor: scores the network during training.

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
    """As `adapt`, for pairs of frame and mask; `again` are the same frames, to be read a second time, or None."""
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
    size, kept, observed = adapter.settings.size, list[Pixels](), list[ObservedFrame]()
    for frame, ids in pairs:
        image = resize_image(frame, size)
        observed.append(adapter.observe(image, ids))
        if again is None:
            kept.append(image)
    _train(adapter, adapter.settings.steps, monitor)
    images = kept if again is None else (resize_image(frame, size) for frame in BackgroundReader(again))
    for image, one in zip(images, observed, strict=True):
        yield adapter.segment(image, one)


def _causal(adapter: SequenceAdapter, pairs: Iterable[tuple[Pixels, Ids]], monitor: Monitor | None) -> Iterator[Ids]:
    """Segment each frame with what was learned from the frames before it."""
    settings = adapter.settings
    for t, (frame, ids) in enumerate(pairs):
        if t and t % settings.refresh_every == 0:
            _train(adapter, settings.refresh_steps, monitor)
        image = resize_image(frame, settings.size)
        yield adapter.segment(image, adapter.observe(image, ids))


def _train(adapter: SequenceAdapter, steps: int, monitor: Monitor | None) -> None:
    portion = steps if monitor is None else monitor.every
    while steps > 0 and not adapter.network.exhausted:
        adapter.train(min(portion, steps))
        steps -= portion
        if monitor is not None:
            monitor.score(adapter)


def _checked(frames: Iterable[Pixels], masks: Iterable[Ids]) -> Iterator[tuple[Pixels, Ids]]:
    """Pairs of frame and mask, of one size."""
    for t, (frame, ids) in enumerate(zip_longest(frames, masks)):
        if frame is None or ids is None:
            raise VOSError(f"adapt: frames and masks differ in number, from frame {t} on; give one mask per frame")
        if ids.shape != frame.shape[:2]:
            raise MaskError(
                f"adapt: the mask of frame {t} is {ids.shape}, the frame {frame.shape[:2]}; give masks of its size"
            )
        yield frame, ids
