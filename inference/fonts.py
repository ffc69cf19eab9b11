"""Whether this machine can draw what the configured pages need, asked before anything is started.

A page full of empty boxes is read as nonsense by any model, and no later check would notice.
"""

from inference.config import InferenceConfig
from inference.config.decode import ConfigProblem
from inference.render import PangoUnavailableError, StyleError, plan_pages, resolve_style

_SAMPLES = {"Latin": "Reading", "Chinese": "白日依山尽。"}
_PACKAGES = {"Latin": "fonts-dejavu-core", "Chinese": "fonts-noto-cjk"}


def font_problems(config: InferenceConfig) -> tuple[ConfigProblem, ...]:
    """What the default profile's fonts cannot draw; empty when all is well. Starts no engine."""
    name = config.render.default_profile
    path = f"inference.render.profiles.{name}"
    try:
        style = resolve_style(config.render.profiles[name])
        lacking = [
            script for script, text in _SAMPLES.items() if plan_pages(text, style).missing_glyphs
        ]
    except (PangoUnavailableError, StyleError) as error:
        return (ConfigProblem(path, str(error)),)
    return tuple(
        ConfigProblem(
            path,
            f"no font on this machine draws {script}: install one, for instance with "
            f"`apt-get install {_PACKAGES[script]}`",
        )
        for script in lacking
    )
