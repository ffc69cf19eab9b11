"""Configuration of a worker: frozen groups, a sentence under each key, strict decoding.

Imports neither torch nor pydantic, so that `python -m inference --check` answers at once. Units are
last in names: sizes are bytes, times seconds, page sizes pixels and type sizes points (1/72 inch).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeVar

from inference.config import glyph_json
from inference.config.decode import ConfigProblem, Limits, decode_mapping

EMBEDDED = "embedded"
PAGE_UNIT_PX = 28  # patch 14 x spatial merge 2: such pages reach the model without a resize

_T = TypeVar("_T")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MARKER = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,16}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class ConfigError(ValueError):
    """A configuration was refused; `problems` names every reason at once."""

    def __init__(self, problems: tuple[ConfigProblem, ...]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = problems


def _bounded(
    default: _T, low: float | None = None, high: float | None = None, step: int | None = None
) -> _T:
    """A dataclass field whose value must lie in low..high and be a multiple of `step`."""
    return field(default=default, metadata={"limits": Limits(low, high, step)})


@dataclass(frozen=True, slots=True)
class KvConfig:
    """The memory that holds the attention keys and values of running requests."""

    slots: int = _bounded(8, 1, 256)
    """Requests that can run at the same time; each owns one slot."""
    length: int = _bounded(32768, 64, 1_048_576)
    """Tokens (text, visual and generated together) one slot can hold."""


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """What one request may bring before any expensive work is done for it."""

    body_bytes: int = _bounded(16 * 2**20, 1024, 2**30)
    """Largest request body in bytes; more is answered 413 body_too_large."""
    characters: int = _bounded(400_000, 1, 10_000_000)
    """Most characters of text in one request, questions and documents together."""
    pages: int = _bounded(64, 1, 4096)
    """Most pages (drawn or sent as images) in one request."""
    image_bytes: int = _bounded(10 * 2**20, 1024, 2**30)
    """Largest image a client may send, in bytes of its file."""
    image_pixels: int = _bounded(25_000_000, 784, 1_000_000_000)
    """Most pixels (width x height) of an image; it is scaled to the model's size afterwards."""
    image_aspect_ratio: float = _bounded(200.0, 1, 200)
    """Longest side of an image divided by its shortest, at most; the model's own limit is 200."""


@dataclass(frozen=True, slots=True)
class ProfileConfig:
    """How text is drawn to pages; the model is sensitive to every one of these."""

    page_width_px: int = _bounded(588, PAGE_UNIT_PX, 4480, PAGE_UNIT_PX)
    """Page width in pixels at the profile's dpi, a multiple of 28."""
    page_height_px: int = _bounded(840, PAGE_UNIT_PX, 4480, PAGE_UNIT_PX)
    """Page height in pixels at the profile's dpi, a multiple of 28."""
    dpi: int = _bounded(72, 36, 300)
    """Dots per inch: a point is dpi/72 pixels."""
    margin_x_pt: float = _bounded(10.0, 0, 400)
    """White margin left and right, in points."""
    margin_y_pt: float = _bounded(10.0, 0, 400)
    """White margin at top and bottom, in points."""
    font_families: tuple[str, ...] = ("DejaVu Sans", "Noto Sans CJK SC")
    """Font families in order of preference; a character is drawn with the first that has it."""
    font_size_pt: float = _bounded(9.0, 4, 96)
    """Type size in points."""
    line_height_pt: float = _bounded(10.0, 4, 200)
    """Distance from one line to the next in points."""
    language: str = "en"
    """BCP 47 language of the text; decides between Chinese, Japanese and Korean letter forms."""
    text_colour: str = "#000000"
    """Colour of the text as #RRGGBB."""
    background_colour: str = "#FFFFFF"
    """Colour of the page as #RRGGBB."""
    newline: Literal["break", "red-marker"] = "break"
    """`break` starts a new line; `red-marker` draws a red \\n and goes on in the line (denser)."""
    newline_marker: str = " \\n "
    """What `red-marker` draws for a line break, 1 to 16 characters."""
    newline_colour: str = "#FF0000"
    """Colour of that marker as #RRGGBB."""
    alignment: Literal["left", "center", "right", "justify"] = "left"
    """Where lines stand; `left` and `justify` mean the right side for right-to-left text."""
    horizontal_scale: float = _bounded(1.0, 0.25, 4)
    """Letters are drawn so many times as wide; below 1 more text stands in a line."""
    columns: int = _bounded(1, 1, 8)
    """Columns of text on a page, filled one after the other."""
    column_gap_pt: float = _bounded(12.0, 0, 400)
    """Space between two columns in points."""
    crop_width: bool = False
    """Pages end at the right margin after their longest line, on a multiple of 28 pixels."""
    crop_last_page: bool = False
    """The last page ends at the margin below its last line, on a multiple of 28 pixels."""
    font_path: str | None = None
    """File of a font that comes before font_families; null takes installed fonts only."""


def _builtin_profiles() -> Mapping[str, ProfileConfig]:
    chinese = ("Noto Sans CJK SC", "DejaVu Sans")
    return MappingProxyType(
        {
            "glyph-en": ProfileConfig(),
            "glyph-zh": ProfileConfig(font_families=chinese, language="zh-cn"),
            "glyph-dense": ProfileConfig(newline="red-marker"),
        }
    )


def _profiles() -> Mapping[str, ProfileConfig]:
    """A dataclass field with the built-in profiles that also takes Glyph's own JSON."""
    translated = {"translate": glyph_json.profiles}
    return field(default_factory=_builtin_profiles, metadata=translated)


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """The profiles requests can choose from."""

    default_profile: str = "glyph-en"
    """Profile of requests that name none."""
    profiles: Mapping[str, ProfileConfig] = _profiles()
    """Profiles by name; yours are added to glyph-en, glyph-zh and glyph-dense or change them."""


@dataclass(frozen=True, slots=True)
class InferenceConfig:
    """Everything a worker is told; the section `inference` of the configuration file."""

    model: str = EMBEDDED
    """Directory of a Glm4v-class checkpoint, or `embedded` for the one this project brings."""
    model_cache_directory: str | None = None
    """Where embedded models are built; null means $XDG_CACHE_HOME/glyph or ~/.cache/glyph."""
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"
    """Number format of weights and cache; fp32 gives resumed answers identical to the bit."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs; auto takes the GPU when there is one."""
    threads: int = _bounded(1, 1, 256)
    """CPU threads the model may use."""
    kv: KvConfig = field(default_factory=KvConfig)
    """Memory for running requests."""
    batch_size: int | None = _bounded(None, 1, 256)
    """Most requests computed at once; null means all of kv.slots."""
    max_new_tokens: int = _bounded(512, 1, 1_048_576)
    """Tokens generated for a request that does not say how many."""
    max_new_tokens_limit: int = _bounded(4096, 1, 1_048_576)
    """Most tokens a request may ask for."""
    queue: int = _bounded(256, 0, 100_000)
    """Requests that may wait for a slot; more are answered 429 queue_full."""
    prefill_tokens_per_step: int = _bounded(1024, 16, 1_048_576)
    """Prompt tokens computed between two decode steps, so that running answers keep flowing."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    """Bounds of one request."""
    performance_mode: Literal["low-latency", "balanced", "high-throughput"] = "balanced"
    """What the scheduler favours when requests compete."""
    orphan_seconds: float = _bounded(3600.0, 1, 604_800)
    """Exit after this long without a word from a supervisor and with nothing in flight."""
    render: RenderConfig = field(default_factory=RenderConfig)
    """How documents become pages."""

    @property
    def active_slots(self) -> int:
        """Most requests computed at once."""
        return self.kv.slots if self.batch_size is None else self.batch_size


def decode(raw: object, path: str = "inference") -> InferenceConfig:
    """Configuration from a parsed YAML or JSON mapping (null means all defaults).

    Raises ConfigError with every problem found: unknown keys, wrong types, values out of range and
    values that contradict each other.
    """
    problems: list[ConfigProblem] = []
    section = {} if raw is None else raw
    config = decode_mapping(InferenceConfig, section, path, problems)
    if config is not None:
        problems.extend(_contradictions(config, path))
    if problems or config is None:
        raise ConfigError(tuple(problems))
    return config


def _contradictions(config: InferenceConfig, path: str) -> list[ConfigProblem]:
    found: list[ConfigProblem] = []

    def refuse(key: str, message: str) -> None:
        found.append(ConfigProblem(f"{path}.{key}", message))

    if not config.model.strip():
        refuse("model", f"must be a directory or `{EMBEDDED}`")
    if config.active_slots > config.kv.slots:
        refuse("batch_size", f"must not exceed kv.slots ({config.kv.slots})")
    if config.max_new_tokens > config.max_new_tokens_limit:
        refuse("max_new_tokens", f"exceeds max_new_tokens_limit ({config.max_new_tokens_limit})")
    if config.max_new_tokens_limit >= config.kv.length:
        refuse("max_new_tokens_limit", f"must be below kv.length ({config.kv.length})")
    if config.render.default_profile not in config.render.profiles:
        names = ", ".join(sorted(config.render.profiles))
        refuse("render.default_profile", f"no such profile; there are: {names}")
    for name, profile in config.render.profiles.items():
        for key, message in profile_problems(profile):
            refuse(f"render.profiles.{name}.{key}", message)
    return found


def profile_problems(profile: ProfileConfig) -> list[tuple[str, str]]:
    """Contradictions inside one profile as (key, message)."""
    found: list[tuple[str, str]] = []
    points = 72 / profile.dpi
    width = profile.page_width_px * points / profile.horizontal_scale - 2 * profile.margin_x_pt
    gaps = (profile.columns - 1) * profile.column_gap_pt
    width = (width - gaps) / profile.columns
    height = profile.page_height_px * points - 2 * profile.margin_y_pt
    size, line_height = profile.font_size_pt, profile.line_height_pt
    if width < 4 * size:
        found.append(("margin_x_pt", f"leaves {width:g} pt for text; four letters need more"))
    if height < line_height:
        found.append(("margin_y_pt", f"leaves {height:g} pt for text; a line is {line_height:g}"))
    if line_height < size:
        found.append(("line_height_pt", f"must be at least font_size_pt ({size:g})"))
    if not profile.font_families or not all(name.strip() for name in profile.font_families):
        found.append(("font_families", "must name at least one font family"))
    for key in ("text_colour", "background_colour", "newline_colour"):
        if not _COLOUR.fullmatch(colour := getattr(profile, key)):
            found.append((key, f"must look like #RRGGBB, not {colour!r}"))
    if not _MARKER.fullmatch(profile.newline_marker):
        found.append(("newline_marker", "must be 1 to 16 printable characters"))
    if not _LANGUAGE.fullmatch(profile.language):
        found.append(("language", f"must be a tag such as en or zh-cn, not {profile.language!r}"))
    return found
