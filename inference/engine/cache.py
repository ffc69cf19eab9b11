"""KV memory: a fixed set of slots, each filled and read at its own position.

The library's static cache has one length for the whole batch, so requests of different age could
not share it. Here every row has its own column to write to, and one column beyond the usable
length takes what rows without a running request compute.
"""

from __future__ import annotations

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

SMALLEST_BUCKET = 64
BUCKETS_PER_OCTAVE = 4


def bucket_length(needed: int, length: int) -> int:
    """Columns attended to: a round number that holds `needed`, at most `length`.

    Multiples of an eighth of the next power of two: few shapes, and beyond 256 columns at most a
    fifth read in vain. Of a power of two itself up to a half would be, a quarter on average.
    """
    power = 1 << (needed - 1).bit_length()
    step = max(SMALLEST_BUCKET, power // (2 * BUCKETS_PER_OCTAVE))
    return min(length, -(-needed // step) * step)


class SlotLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers carries no types
    """Keys and values of one decoder layer, (slots, heads, length + 1, head size)."""

    def __init__(
        self, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.is_initialized = True
        self._rows = torch.arange(shape[0], device=device)
        self._columns = self._rows
        self._slot: int | None = None
        self._start = 0
        self._extent = 0

    def prefilling(self, slot: int, start: int) -> None:
        """The next update writes a run of tokens of one slot, beginning at column `start`."""
        self._slot, self._start = slot, start

    def decoding(self, columns: torch.Tensor, extent: int) -> None:
        """The next update writes one token of every slot and reads the first `extent` columns."""
        self._slot, self._columns, self._extent = None, columns, extent

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store the new states; what the attention is to read."""
        if self._slot is None:
            self.keys[self._rows, :, self._columns] = key_states[:, :, 0]
            self.values[self._rows, :, self._columns] = value_states[:, :, 0]
            return self.keys[:, :, : self._extent], self.values[:, :, : self._extent]
        row, end = slice(self._slot, self._slot + 1), self._start + key_states.shape[2]
        self.keys[row, :, self._start : end] = key_states
        self.values[row, :, self._start : end] = value_states
        return self.keys[row, :, :end], self.values[row, :, :end]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: memory is taken at once, so that running out shows at start."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns read and their offset; the masks given to the model are complete already."""
        return (self._extent if self._slot is None else self._start + query_length), 0

    def get_seq_length(self) -> int:
        """Meaningless for slots of different age; positions are always given explicitly."""
        return 0

    def get_max_length(self) -> int:
        """Columns one slot can use."""
        return int(self.keys.shape[2]) - 1


class SlotCache(Cache):  # type: ignore[misc]
    """The layers of all decoder layers together."""

    def __init__(
        self,
        layers: int,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        super().__init__(layers=[SlotLayer(shape, dtype, device) for _ in range(layers)])

    def prefilling(self, slot: int, start: int) -> None:
        """See SlotLayer.prefilling."""
        for layer in self.layers:
            layer.prefilling(slot, start)

    def decoding(self, columns: torch.Tensor, extent: int) -> None:
        """See SlotLayer.decoding."""
        for layer in self.layers:
            layer.decoding(columns, extent)

    def wipe(self, slot: int, extent: int) -> None:
        """Zero the first `extent` columns of a slot.

        The next request's masked columns meet a weight of 0, but 0 x NaN would still be NaN.
        """
        for layer in self.layers:
            layer.keys[slot, :, :extent].zero_()
            layer.values[slot, :, :extent].zero_()

    @property
    def size_bytes(self) -> int:
        """Memory taken, in bytes."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self.layers)
