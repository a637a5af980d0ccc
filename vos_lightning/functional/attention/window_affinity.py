"""Affinities of a tile of queries with all that their windows hold, as a matrix that is zero outside of the windows.

A tile of queries sees a rectangle of keys, so its similarities are one dense matrix product. `RowRing` lays the keys
out so that each query's window is one contiguous run of its row of similarities, at an offset that grows evenly with
the query's column: the windows of a tile are one strided view, and what is done per similarity is done on these only.
"""

import torch
from torch import Tensor

from vos_lightning.functional.attention.row_ring import KeyRing, Reach, RowRing, select


class TileAffinity:
    """Similarities and affinities of one tile with one group of references, (B, queries, keys).

    Affinities are only ever written inside of the windows, so that they stay zero outside.
    """

    def __init__(self, query: Tensor, reach: Reach) -> None:
        batch, _, columns, rows = query.shape
        keys = (columns + 2 * reach.radius[1]) * reach.column
        self.similarity = query.new_empty(batch, columns * rows, keys)
        self.affinity = torch.zeros_like(self.similarity)
        self.column = reach.column
        self._shape = (batch, columns, rows, (2 * reach.radius[1] + 1) * reach.column)
        self._strides = (columns * rows * keys, rows * keys + reach.column, keys, 1)

    def windows(self, matrix: Tensor) -> Tensor:
        """The windows in one of the two matrices, (B, columns, rows, window); a view."""
        return matrix.as_strided(self._shape, self._strides)


class ReferenceGroup:
    """References of one radius: their rows in sight, and the matrices of each tile shape.

    Args:
        keys: of all references, (B, R, D, H, W).
        values: of all references, (B, R, C, H, W); a channel of ones is appended, which adds up the affinities.
        reach: which of them.
    """

    def __init__(self, keys: Tensor, values: Tensor, reach: Reach) -> None:
        self.reach = reach
        self._frames = select(keys, reach), select(values, reach)
        self._features = keys.shape[2]
        self.keys = KeyRing(keys, keys.shape[2], reach)
        self.values = RowRing(values, values.shape[2] + 1, reach)
        self.values.pixels[:, -1] = 1
        self._tiles: dict[tuple[int, ...], TileAffinity] = {}

    def move_to(self, y0: int) -> None:
        """Have the rows in place that the strip from row y0 sees."""
        keys, values = self._frames
        self.keys.move_to(keys, y0)
        self.values.put(values, self.reach.entering(y0))

    def compare(self, query: Tensor, columns: slice) -> TileAffinity:
        """Similarities of a tile of queries, (B, D + strip, columns, rows), see `KeyRing`."""
        shape = tuple(query.shape[2:])
        if shape not in self._tiles:
            self._tiles[shape] = TileAffinity(query, self.reach)
        tile = self._tiles[shape]
        torch.bmm(query.flatten(2).mT, self.keys.seen(columns), out=tile.similarity)
        return tile

    def read(self, tile: TileAffinity, columns: slice) -> Tensor:
        """Affinities times values, (B, C + 1, queries)."""
        return torch.bmm(self.values.seen(columns), tile.affinity.mT)


def fill_affinities(tiles: list[TileAffinity]) -> None:
    """Affinities from similarities, 2^(similarity - the query's largest), over all groups together."""
    similarities = [tile.windows(tile.similarity) for tile in tiles]
    largest = torch.cat([s.amax(-1, keepdim=True) for s in similarities], -1).amax(-1, keepdim=True)
    for tile, similarity in zip(tiles, similarities, strict=True):
        torch.sub(similarity, largest, out=tile.windows(tile.affinity)).exp2_()
