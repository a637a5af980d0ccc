"""The objects of one video: their ids, when each was given, and where each was seen last."""

from torch import Tensor

from vos_lightning.inference.tracking.motion import Place, places, seen_last

Frames = tuple[int, ...]


class Objects:
    """Ids in the order in which they came.

    Attributes:
        ids: of the objects, as they were given.
        seen_at: where each object was seen last; None if never.

    Args:
        max_given: of the frames in which an object was given, the latest that count.
    """

    def __init__(self, max_given: int) -> None:
        self._max_given = max_given
        self.ids: list[int] = []
        self.seen_at: list[Place | None] = []
        self._given: dict[int, Frames] = {}  # those that count, ascending

    def __len__(self) -> int:
        """K."""
        return len(self.ids)

    def give(self, given: frozenset[int], t: int) -> int:
        """Note which objects were given for frame t, a later one than those before.

        Returns:
            How many of them are new.
        """
        new = sorted(given.difference(self.ids))
        self.ids += new
        self._given |= {i: (*self._given.get(i, ()), t)[-self._max_given :] for i in given}
        return len(new)

    def see(self, masks: Tensor) -> None:
        """Note where the objects are, by their soft masks (K, h, w)."""
        self.seen_at = seen_last(places(masks[None])[0], self.seen_at)

    def groups(self) -> list[tuple[Frames, list[int]]]:
        """Objects that were given for the same frames: (frames, numbers of the objects), by the latest frame."""
        starts = sorted(set(self._given.values()), key=lambda frames: frames[::-1])
        return [(start, [k for k, i in enumerate(self.ids) if self._given[i] == start]) for start in starts]
