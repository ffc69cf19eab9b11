"""What goes into the engine and comes out of it; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""One page, (height, width, 3), both sides multiples of 28."""

DEFAULT_IMAGE_AREA = (112 * 112, 28 * 28 * 15000)
"""What Glm4v's image processor takes where a checkpoint says nothing."""


class EngineError(Exception):
    """Computing for one request failed; other requests are not concerned."""


class OutOfMemoryError(EngineError):
    """Memory did not suffice; trying again after others have finished may help."""


class DeviceLostError(Exception):
    """The accelerator's context is broken; only a new process can go on."""


class ModelError(Exception):
    """The checkpoint directory cannot be served; starting again would not help."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; a temperature of 0 takes the most likely one."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    """Only the k most likely tokens are considered; 0 considers all."""
    seed: int = 0
    min_p: float = 0.0
    """Only tokens at least this share as likely as the likeliest are considered."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of what prompt or answer contain."""
    frequency_penalty: float = 0.0
    """Taken off a token's logit for each time the answer contains it."""
    presence_penalty: float = 0.0
    """Taken off a token's logit once if the answer contains it."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token ids, each at most once, and what is added to their logits."""
    top_logprobs: int | None = None
    """How many of the likeliest tokens are told with each token; None tells no probabilities."""

    @property
    def shaped(self) -> bool:
        """Whether logits are changed before a token is chosen."""
        penalties = (self.repetition_penalty, self.frequency_penalty, self.presence_penalty)
        return bool(self.logit_bias) or penalties != (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image stands in a prompt: `rows` x `columns` visual tokens from index `start`."""

    start: int
    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Visual tokens of the image."""
        return self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with a record of which of them stand for images.

    The record, not the id, decides: a text or an answer may contain the image token's id.
    """

    token_ids: tuple[int, ...]
    images: tuple[ImagePlace, ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """How likely the model itself held a token, and the likeliest in its place.

    Natural logarithms, before temperature, penalties and bias.
    """

    token: float
    likeliest: tuple[tuple[int, float], ...]
    """Token ids and their values, likeliest first."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token drawn for a slot."""

    slot: int
    token_id: int
    margin: float | None = None
    """Distance between the two best logits; measured only when asked for."""
    valid: bool = True
    """False when the logits were not numbers; the token then means nothing."""
    logprobs: Logprobs | None = None
    """Told only when the slot's sampling asks for it."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the rest of the worker must know of the loaded model."""

    model: str
    """Name under which the model is served."""
    fingerprint: str
    """Hash of weights, tokenizer and number format."""
    slots: int
    length: int
    """Tokens one slot can hold."""
    vocabulary: int
    """Token ids are below this; one beyond would break a GPU's context for everybody."""
    end_ids: frozenset[int]
    """Tokens that end an answer."""
    default_sampling: Sampling
    image_area: tuple[int, int] = DEFAULT_IMAGE_AREA
    """Smallest and largest `frames x height x width` at which the model sees an image."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Memory at one moment; `gpu_bytes` is None without a GPU."""

    gpu_bytes: int | None
    counters: Mapping[str, int]


class Engine(Protocol):
    """The model as the batching loop sees it. All calls come from one thread.

    A slot is opened, shown its pages, prefilled until the first token comes, decoded step by step,
    and closed. Any call may raise EngineError for the slot concerned or DeviceLostError.
    """

    @property
    def facts(self) -> EngineFacts:
        """What was loaded."""
        ...

    def open(self, slot: int, prompt: Prompt, emitted: Sequence[int], sampling: Sampling) -> None:
        """Prepare a free slot for `prompt` followed by the token ids `emitted`."""
        ...

    def see(self, slot: int, image: int, pixels: Pixels) -> None:
        """Run image number `image` of the slot's prompt through the vision tower."""
        ...

    def prefill(self, slot: int, count: int) -> Token | None:
        """Compute the next `count` prompt tokens; the token drawn once the prompt is complete."""
        ...

    def decode(self, slots: Sequence[int]) -> list[Token]:
        """One further token for each of `slots`, in their order."""
        ...

    def close(self, slot: int) -> None:
        """Free a slot and wipe what it held; a free one stays free."""
        ...

    def reclaim(self) -> None:
        """Give unused memory back, after an OutOfMemoryError."""
        ...

    def memory(self) -> MemoryUse:
        """Memory in use now."""
        ...
