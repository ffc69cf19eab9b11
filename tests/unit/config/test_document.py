from pathlib import Path

import pytest

from supervisor.config.document import ConfigurationError, parse, read_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("4:30", "4:30"),
        ("1:02:03", "1:02:03"),
        ("2026-11-21", "2026-11-21"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("+.5", "+.5"),
        ("=", "="),
        ("1e3", 1000.0),
        ("-1.5", -1.5),
        ("0", 0),
        ("-7", -7),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ('"true"', "true"),
        ("'8000'", "8000"),
        ("9" * 30, "9" * 30),
    ],
)
def test_plain_words_mean_what_they_look_like(text: str, value: object) -> None:
    document = parse(f"key: {text}\n", "f")
    assert document.problems == []
    assert document.value == {"key": value}
    assert isinstance(document.value, dict)
    assert type(document.value["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "is given twice, first in line 1"),
        ("a: {b: 1, b: 2}\n", 1, 11, "is given twice, first in line 1"),
        ("a: &x 1\nb: *x\n", 2, 4, "alias *x is not allowed: write it out"),
        ("a: !!python/name:os.system x\n", 1, 4, "is not allowed: write the value alone"),
        ("a: 1\n---\nb: 2\n", 2, 1, "but found another document"),
        ("a: [1, 2\nb: 3\n", 2, 2, "expected"),
        ("a:\n\tb: 1\n", 2, 1, "found character"),
        ("<<: {a: 1}\n", 1, 1, "merging is not allowed: write it out"),
        ("? [a]\n: 1\n", 1, 3, "is no name"),
    ],
)
def test_what_is_wrong_with_the_form_is_said_with_its_place(
    text: str, line: int, column: int, message: str
) -> None:
    (problem,) = parse(text, "f").problems
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message


def test_keys_that_look_like_numbers_are_names() -> None:
    assert parse("1: x\ntrue: y\n", "f").value == {"1": "x", "true": "y"}


def test_deep_nesting_is_refused_not_a_crash() -> None:
    assert parse("[" * 100_000, "f").problems
    assert any("nested" in problem.message for problem in parse("[" * 40 + "]" * 40, "f").problems)


def test_unreadable_files_are_one_clear_line(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(ConfigurationError, match="there is no such configuration file"):
        read_text(missing)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: caf\xe9\n")
    with pytest.raises(ConfigurationError, match=r"is not UTF-8 \(byte 6\)"):
        read_text(latin)
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="is larger than"):
        read_text(huge)
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_text(tmp_path)
