"""The objects of one video: their ids, when each was given, and where each was seen last."""

from torch import Tensor

from vos_lightning.inference.tracking.motion import Centre, seen_last


class Objects:
    """Ids in the order in which they came.

    Attributes:
        ids: of the objects, as they were given.
        seen_at: where each object was seen last, in feature positions; None if never.
    """

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.seen_at: list[Centre | None] = []
        self._since: dict[int, int] = {}  # the latest frame in which each object was given

    def __len__(self) -> int:
        """K."""
        return len(self.ids)

    def give(self, given: frozenset[int], t: int) -> int:
        """Note which objects were given for frame t; what was seen of them before doesn't count any more.

        Returns:
            How many of them are new.
        """
        new = sorted(given.difference(self.ids))
        self.ids += new
        self._since |= dict.fromkeys(given, t)
        return len(new)

    def see(self, masks: Tensor) -> None:
        """Note where the objects are, by their soft masks (K, h, w)."""
        self.seen_at = seen_last(masks, self.seen_at)

    def groups(self) -> list[tuple[int, list[int]]]:
        """Objects that were given for the same frame last: (frame, numbers of the objects), ascending by frame."""
        starts = sorted(set(self._since.values()))
        return [(start, [k for k, i in enumerate(self.ids) if self._since[i] == start]) for start in starts]
