"""The pages as HTML text."""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from supervisor.console.catalogue import DEFAULT_LANGUAGE, LANGUAGES, Words
from supervisor.console.port import SupervisorPort
from supervisor.console.view import STEPS, Notice, Overview, overview

_TEMPLATES = Path(__file__).parent / "templates"
_EVENTS = 40


@dataclass(frozen=True, slots=True)
class Reader:
    """How the page is wanted: language, and a theme that overrides the system's."""

    language: str
    theme: str = ""


class Pages:
    """Renders the pages from what the supervisor says now."""

    def __init__(self, supervisor: SupervisorPort) -> None:
        self._supervisor = supervisor
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def home(self, reader: Reader, csrf_token: str, notice: Notice | None) -> str:
        """The first page."""
        view = self._overview()
        return self._render("home.html", reader, view=view, csrf=csrf_token, notice=notice)

    def live(self, reader: Reader, csrf_token: str) -> str:
        """The changing parts of the first page, for its script."""
        return self._render("live.html", reader, view=self._overview(), csrf=csrf_token)

    def login(self, reader: Reader, once: str, problem: str) -> str:
        """The login page; `problem` is a key of the catalogue or empty."""
        return self._render("login.html", reader, once=once, problem=problem)

    def _overview(self) -> Overview:
        return overview(self._supervisor.status(), self._supervisor.events(limit=_EVENTS, after=0))

    def _render(self, template: str, reader: Reader, **values: object) -> str:
        return self._environment.get_template(template).render(
            words=Words(reader.language),
            theme=reader.theme,
            languages=LANGUAGES,
            steps=STEPS,
            **values,
        )


def choose_language(cookie: str | None, accept_language: str) -> str:
    """The reader's choice, else the first language of Accept-Language there is, else English."""
    if cookie in LANGUAGES:
        return cookie
    wanted: list[tuple[float, int, str]] = []
    for index, part in enumerate(accept_language[:500].split(",")):
        name, _, parameters = part.strip().partition(";")
        quality = parameters.strip().removeprefix("q=") if parameters else "1"
        try:
            wanted.append((-float(quality), index, name.lower()))
        except ValueError:
            continue
    for negative, _, name in sorted(wanted):
        if negative == 0:
            continue
        if name == "zh" or name.startswith("zh-"):
            return "zh-CN"
        if name == "en" or name.startswith("en-"):
            return "en"
    return DEFAULT_LANGUAGE
