"""The inference configuration is strict, and says everything that is wrong at once."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys

import pytest

from inference import config
from inference.config import ConfigError, InferenceConfig, decode


def problems(raw: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        decode(raw)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_nothing_given_means_defaults() -> None:
    assert decode(None) == decode({}) == InferenceConfig()


def test_values_are_taken() -> None:
    found = decode(
        {
            "model": "/models/glyph",
            "kv": {"slots": 4, "length": 16384},
            "batch_size": 2,
            "orphan_seconds": 60,
            "render": {
                "default_profile": "mine",
                "profiles": {"mine": {"font_families": ["A", "B"]}, "glyph-en": {"dpi": 96}},
            },
        }
    )
    assert (found.kv.slots, found.kv.length, found.active_slots) == (4, 16384, 2)
    assert found.orphan_seconds == 60.0
    assert isinstance(found.orphan_seconds, float)
    profiles = found.render.profiles
    assert profiles["mine"].font_families == ("A", "B")
    assert profiles["glyph-en"].dpi == 96
    assert profiles["glyph-zh"] == InferenceConfig().render.profiles["glyph-zh"]


def test_a_known_profile_changes_only_the_keys_given() -> None:
    found = decode({"render": {"profiles": {"glyph-zh": {"font_size_pt": 8}}}})
    builtin = InferenceConfig().render.profiles["glyph-zh"]
    changed = found.render.profiles["glyph-zh"]
    assert changed == dataclasses.replace(builtin, font_size_pt=8.0)


def test_all_problems_are_found_at_once() -> None:
    found = problems(
        {
            "modle": "x",
            "kv": {"slot": 8, "length": "8"},
            "threads": True,
            "precision": "fp8",
            "queue": -1,
            "render": {"profiles": {"glyph-en": {"page_width_px": 600}, "a": {"dpi": None}}},
        }
    )
    assert found == {
        "inference.modle": "unknown key (did you mean `model`?)",
        "inference.kv.slot": "unknown key (did you mean `slots`?)",
        "inference.kv.length": "must be a whole number, not '8'",
        "inference.threads": "must be a whole number, not True",
        "inference.precision": "must be one of fp32, fp16, bf16, not 'fp8'",
        "inference.queue": "must be at least 0, not -1",
        "inference.render.profiles.glyph-en.page_width_px": (
            "must be a multiple of 28, such as 588"
        ),
        "inference.render.profiles.a.dpi": "must be a whole number, not null",
    }


@pytest.mark.parametrize(
    ("raw", "path", "message"),
    [
        ([], "inference", "must be a mapping, not a list"),
        ({"kv": 8}, "inference.kv", "must be a mapping"),
        ({"kv": None}, "inference.kv", "must be a mapping, not null"),
        ({7: 8}, "inference.7", "unknown key"),
        ({"model": " "}, "inference.model", "must be a directory"),
        ({"batch_size": 9}, "inference.batch_size", "must not exceed kv.slots (8)"),
        ({"max_new_tokens": 5000}, "inference.max_new_tokens", "exceeds max_new_tokens_limit"),
        ({"max_new_tokens_limit": 32768}, "inference.max_new_tokens_limit", "below kv.length"),
        ({"orphan_seconds": float("nan")}, "inference.orphan_seconds", "must be at least 1"),
        ({"orphan_seconds": float("inf")}, "inference.orphan_seconds", "must be at most"),
        ({"render": {"default_profile": "x"}}, "inference.render.default_profile", "there are: "),
        ({"render": {"profiles": [1]}}, "inference.render.profiles", "must be a mapping"),
        ({"render": {"profiles": {3: {}}}}, "inference.render.profiles.3", "must be text"),
    ],
)
def test_each_kind_of_mistake(raw: object, path: str, message: str) -> None:
    assert message in problems(raw)[path]


@pytest.mark.parametrize(
    ("profile", "key", "message"),
    [
        ({"text_colour": "red"}, "text_colour", "#RRGGBB"),
        ({"background_colour": "#FFF"}, "background_colour", "#RRGGBB"),
        ({"font_families": []}, "font_families", "at least one"),
        ({"font_families": "DejaVu Sans"}, "font_families", "must be a list"),
        ({"font_families": [3]}, "font_families.0", "must be text"),
        ({"language": "zh cn"}, "language", "must be a tag"),
        ({"newline": "marker"}, "newline", "did you mean `red-marker`"),
        ({"margin_x_pt": 290}, "margin_x_pt", "leaves 8 pt"),
        ({"margin_y_pt": 400, "page_height_px": 784}, "margin_y_pt", "leaves -16 pt"),
        ({"line_height_pt": 8}, "line_height_pt", "at least font_size_pt (9)"),
    ],
)
def test_mistakes_in_profiles(profile: object, key: str, message: str) -> None:
    found = problems({"render": {"profiles": {"mine": profile}}})
    assert message in found[f"inference.render.profiles.mine.{key}"]


def test_every_key_has_a_sentence() -> None:
    source = inspect.getsource(config)
    for group in ("KvConfig", "LimitsConfig", "ProfileConfig", "RenderConfig", "InferenceConfig"):
        for key in dataclasses.fields(getattr(config, group)):
            declared = source[source.index(f"    {key.name}: ") :].splitlines()
            assert declared[1].startswith('    """'), f"{group}.{key.name}"
            assert declared[1].endswith('."""'), f"{group}.{key.name}"


def test_checking_a_configuration_loads_nothing_heavy() -> None:
    code = (
        "import sys, inference.config, inference.errors;"
        "print(sorted({'torch', 'pydantic', 'numpy', 'cairo', 'transformers'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
