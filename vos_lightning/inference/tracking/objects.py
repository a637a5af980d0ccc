"""The objects of one video: their ids, when each was given, and where each was seen last."""

from torch import Tensor

from vos_lightning.inference.tracking.motion import Place, alike_in_size, places, seen_last

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
        self._places: dict[int, list[Place | None]] = {}  # in these frames

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

    def see(self, masks: Tensor, t: int) -> None:
        """Note where the objects are in frame t, by their soft masks (K, h, w)."""
        now = places(masks[None])[0]
        self.seen_at = seen_last(now, self.seen_at)
        counting = {frame for frames in self._given.values() for frame in frames}
        self._places = {frame: there for frame, there in (self._places | {t: now}).items() if frame in counting}

    def like_the_latest(self, frames: Frames, members: list[int], ratio: float) -> Frames:
        """Of frames in which objects were given, those in which some has a size as in the latest of them.

        Args:
            frames: ascending.
            members: numbers of the objects.
            ratio: of areas, see `alike_in_size`.
        """
        then = {frame: [self._places[frame][k] for k in members] for frame in frames}
        latest = frames[-1]
        return tuple(f for f in frames if f == latest or alike_in_size(then[f], then[latest], ratio))

    def groups(self) -> list[tuple[Frames, list[int]]]:
        """Objects that were given for the same frames: (frames, numbers of the objects), by the latest frame."""
        starts = sorted(set(self._given.values()), key=lambda frames: frames[::-1])
        return [(start, [k for k, i in enumerate(self.ids) if self._given[i] == start]) for start in starts]
