"""The words of the console, by language."""

from supervisor.console.words_en import ENGLISH
from supervisor.console.words_zh import CHINESE

LANGUAGES = {"en": "English", "zh-CN": "中文"}
DEFAULT_LANGUAGE = "en"

CATALOGUES = {"en": ENGLISH, "zh-CN": CHINESE}


class Words:
    """The words of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = CATALOGUES[language]

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its values filled in; KeyError for an unknown key."""
        return self._words[key].format(**values)

    def term(self, group: str, name: str) -> str:
        """The word for a value of the protocol; the value itself if this page does not know it."""
        return self._words.get(f"{group}.{name}", name.replace("_", " "))

    def state_text(self, state: str) -> str:
        """The sentence that explains the overall state."""
        return self._words.get(f"state.{state}.text", self._words["state.unknown.text"])

    def duration(self, seconds: float) -> str:
        """A duration as people say it: `3.2 s`, `4 min 10 s`, `2 d 3 h`."""
        units = [self._words[f"unit.{name}"] for name in ("days", "hours", "minutes", "seconds")]
        if 0 < seconds < 0.095:
            return f"{seconds * 1000:.0f} {self._words['unit.milliseconds']}"
        if seconds < 10:
            return f"{max(0.0, seconds):.1f} {units[3]}"
        whole = round(seconds)
        parts = (whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60)
        first = next((index for index, value in enumerate(parts) if value), 3)
        shown = [
            f"{value} {unit}"
            for value, unit in list(zip(parts, units, strict=True))[first : first + 2]
            if value
        ]
        return " ".join(shown)
