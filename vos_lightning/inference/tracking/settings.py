"""How masks are read out of the memory: one set of options and defaults for every tracker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vos_lightning.errors import VOSError

# Pixels on the longer side: of less, a network at a quarter of the resolution sees nothing.
MIN_SIZE = 16


@dataclass(frozen=True)
class TrackingSettings:
    """Which frames a query frame looks back at, and how masks are read out of them.

    The papers' readouts are `examples/tracking/ssvos_paper.yaml` and `ct_vos_paper.yaml`; the defaults are what tracked
    best (`vos_lightning/weights/README.md`).

    Args:
        radius: of the window, in feature positions; None sees the whole frame.
        topk: similar positions that take part, all references together; None for all.
        offsets: how many frames back the recent references lie; frames with a given mask are references too.
        given_radius: of the window in frames with a given mask that aren't recent any more; None is `radius`.
        max_given: of the frames in which an object's mask was given, the latest so many stay references.
        follow: move older references as far as their objects have moved since, see `motion`; without effect where the
            whole frame is seen.
        size_ratio: given frames in which all objects are so many times larger or smaller, in area, than in the latest
            of them are passed over, see `motion`; None passes over none.
        chroma_views: encode each frame without a and without b, as in training, and compare by both, see
            `ChromaViews`; without effect on encoders that learned from all of Lab.
        colour_weight: share of Lab patches in the similarities, in [0, 1), see `ColourMix`; without effect on features
            that aren't normalised, which have no scale to share.
        mutual_weight: how much less a match counts that is not the best one seen from the reference, see
            `local_attention`; 0 or more.
        edges: redraw contours along those of the frame, see `functional.guided_filter`; otherwise probabilities are
            interpolated.
        threshold: probability above which a position is an object's rather than background, in (0, 1); of several
            objects the most probable counts.
        momentum_encoder: let the momentum encoder, where there is one, encode the memory (SSVOS §3.2).
        max_size: frames with a longer side are scaled down to it for the network, in pixels; masks keep the full size.
            None scales nothing.

    Raises:
        VOSError: a value out of its range.
    """

    radius: int | None = 16
    topk: int | None = 6
    offsets: tuple[int, ...] = (1, 3, 9, 18)
    given_radius: int | None = None
    max_given: int = 2
    follow: bool = True
    size_ratio: float | None = 4.0
    chroma_views: bool = True
    colour_weight: float = 0.4
    mutual_weight: float = 0.5
    edges: bool = True
    threshold: float = 0.45
    momentum_encoder: bool = False
    max_size: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        object.__setattr__(self, "offsets", tuple(self.offsets))  # checkpoints and YAML hold lists
        for name, valid, expected in (
            ("radius", self.radius is None or self.radius >= 0, "0 or more, or None"),
            ("topk", self.topk is None or self.topk >= 1, "1 or more, or None"),
            ("offsets", all(offset >= 1 for offset in self.offsets), "frames back, each 1 or more"),
            ("given_radius", self.given_radius is None or self.given_radius >= 0, "0 or more, or None"),
            ("max_given", self.max_given >= 1, "1 or more"),
            ("size_ratio", self.size_ratio is None or self.size_ratio > 1, "more than 1, or None"),
            ("colour_weight", 0 <= self.colour_weight < 1, "at least 0 and less than 1"),
            ("mutual_weight", 0 <= self.mutual_weight < float("inf"), "0 or more"),
            ("threshold", 0 < self.threshold < 1, "more than 0 and less than 1"),
            ("max_size", self.max_size is None or self.max_size >= MIN_SIZE, f"{MIN_SIZE} pixels or more, or None"),
        ):
            if not valid:
                raise VOSError(f"tracking: {name} is {getattr(self, name)}; expected {expected}")

    @property
    def horizon(self) -> int:
        """How many recent frames have to be kept."""
        return max(self.offsets, default=0)

    def is_recent(self, index: int, t: int) -> bool:
        """Is the frame a reference of frame t whether its mask was given or not?"""
        return t - index in self.offsets

    def reference_indices(self, t: int, given: Iterable[int] = (0,)) -> list[int]:
        """Indices of the references of frame t, ascending.

        Args:
            t: the query frame.
            given: frames whose masks were given; what was seen before the first of them doesn't count.
        """
        given = list(given)
        recent = range(max(min(given, default=0), t - self.horizon), t)
        return sorted({*(index for index in given if index < t), *(i for i in recent if self.is_recent(i, t))})

    def radii(self, t: int, indices: Iterable[int]) -> list[int | None]:
        """Radius of the window in each reference of frame t."""
        given_radius = self.radius if self.given_radius is None else self.given_radius
        return [self.radius if self.is_recent(index, t) else given_radius for index in indices]


# The readout as SSVOS describes it, without what this library adds.
PLAIN = TrackingSettings(
    radius=12,
    topk=10,
    offsets=(1, 2, 3, 4),
    follow=False,
    size_ratio=None,
    chroma_views=False,
    colour_weight=0.0,
    mutual_weight=0.0,
    edges=False,
    threshold=0.5,
)
