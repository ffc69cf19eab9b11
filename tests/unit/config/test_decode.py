from pathlib import Path

import pytest

from supervisor.config.decode import decode, load
from supervisor.config.document import ConfigurationError
from supervisor.config.model import Configuration


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        decode(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}", "null"])
def test_an_empty_file_is_the_defaults(text: str) -> None:
    assert decode(text) == Configuration()


def test_units_are_read() -> None:
    configuration = decode(
        "gateway: {total_seconds: 1h30m, hold_bytes: 2GiB, status_delay_seconds: 500ms}\n"
        "lifecycle: {drain_seconds: 12}\n"
    )
    assert configuration.gateway.total_seconds == 5400
    assert configuration.gateway.hold_bytes == 2 * 2**30
    assert configuration.gateway.status_delay_seconds == 0.5
    assert configuration.lifecycle.drain_seconds == 12.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "gateway:\n  replay: no\n",
            "f.yaml:2:11: gateway.replay: expected true or false, not 'no': write false",
        ),
        (
            "gateway:\n  port: 010\n",
            "f.yaml:2:9: gateway.port: expected a whole number, not '010': "
            "write 10, without leading zeros, underscores or quotes",
        ),
        (
            "gateway:\n  total_seconds: 4:30\n",
            "f.yaml:2:18: gateway.total_seconds: '4:30' is no duration: write 30, 30s, 5m or 1h30m",
        ),
        (
            "gateway:\n  hold_bytes: 2G\n",
            "f.yaml:2:15: gateway.hold_bytes: '2G' is no size: write 1048576, 512MiB or 2GB",
        ),
        (
            "gateway:\n  prot: 8000\n",
            "f.yaml:2:3: gateway.prot: unknown key (did you mean 'port'?)",
        ),
        (
            "workers:\n  - name: a\n    gpuu: 1\n",
            "f.yaml:3:5: workers.0.gpuu: unknown key (did you mean 'gpu'?)",
        ),
        (
            "workers:\n  - {environment: {A: 1}}\n",
            'f.yaml:2:23: workers.0.environment.A: expected text, not 1: write "1" in quotes',
        ),
        (
            "logs: {level: inof}\n",
            "f.yaml:1:15: logs.level: expected 'debug', 'info', 'warning' or 'error', "
            "not 'inof' (did you mean 'info'?)",
        ),
        ("gateway: 5\n", "f.yaml:1:10: gateway: expected a mapping, not 5"),
        ("alerts: {webhooks: [{}]}\n", "f.yaml:1:21: alerts.webhooks.0.url: is missing"),
        ("[1]\n", "f.yaml:1:1: expected a mapping, not a list"),
        (
            "console:\n  host: 0.0.0.0\n",
            "f.yaml:2:9: console.host: '0.0.0.0' is not loopback; the console has no TLS, so reach "
            "it from elsewhere through an SSH tunnel or a reverse proxy",
        ),
        (
            "workers: [{name: a}, {name: a}]\n",
            "f.yaml:1:29: workers.1.name: 'a' is the name of another worker",
        ),
        ("workers: [{name: all}]\n", "f.yaml:1:18: workers.0.name: 'all' has a meaning of its own"),
        ("console: {port: 8000}\n", "f.yaml:1:17: console.port: is the port of the gateway, too"),
        (
            "alerts:\n  exec:\n    - argv: [/no/such/program]\n",
            "f.yaml:3:14: alerts.exec.0.argv.0: '/no/such/program' is no program that can be run",
        ),
        (
            "alerts:\n  webhooks:\n    - url: ftp://host/x\n",
            "f.yaml:3:12: alerts.webhooks.0.url: expected an address such as https://HOST/PATH",
        ),
        (
            "budget: {per_hour: 9}\n",
            "f.yaml:1:20: budget.per_hour: must not exceed budget.per_day",
        ),
    ],
)
def test_every_mistake_has_a_place_and_a_way_out(text: str, expected: str) -> None:
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("gateway: {total_seconds: 200, service_seconds: 100}", "drain + stop + kill + reclaim"),
        ("gateway: {service_seconds: 601}", "service_seconds <= gateway.total_seconds"),
        ("gateway: {keep_alive_seconds: 60}", "keep_alive_seconds < 60"),
        ("probing: {late_tick_seconds: 1}", "2 * probing.tick_seconds"),
        ("probing: {hang: {idle_seconds: 3}}", "late_tick_seconds < probing.hang.idle_seconds"),
        ("backoff: {first_seconds: 90}", "backoff.first_seconds <= backoff.max_seconds"),
        ("lifecycle: {load_seconds: 60}", "probing.hang.loading_seconds"),
    ],
)
def test_times_that_cannot_work_together_are_refused(text: str, formula: str) -> None:
    (problem,) = problems(text)
    assert "violates" in problem
    assert formula in problem


def test_all_mistakes_of_all_kinds_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        "gateway:\n"
        "  prot: 1\n"
        "  port: x\n"
        "  port: 2\n"
        "console: {host: 10.0.0.1}\n"
        "workers:\n"
        "  - name: gateway\n"
        "    gpu: on\n"
        "logs: {keep: 0}\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        "f.yaml:2:3",
        "f.yaml:3:9",
        "f.yaml:4:3",
        "f.yaml:5:17",
        "f.yaml:7:11",
        "f.yaml:8:10",
        "f.yaml:9:14",
    ]


def test_the_inference_block_is_checked_by_its_own_package(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.yaml"
    path.write_text(
        "gateway: {prot: 1}\ninference:\n  kv:\n    slots: none\n  threds: 2\n", encoding="utf-8"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    places = [(problem.line, problem.column, problem.path) for problem in caught.value.problems]
    assert places[0] == (1, 11, "gateway.prot")
    assert (4, 12, "inference.kv.slots") in places
    assert {line for line, _, path in places if path == "inference.threds"} == {5}


def test_keys_of_one_worker_are_checked_together_with_the_common_ones(tmp_path: Path) -> None:
    path = tmp_path / "supervisor.yaml"
    path.write_text(
        "inference: {kv: {slots: 4}}\n"
        "workers:\n"
        "  - name: a\n"
        "  - name: b\n"
        "    inference:\n"
        "      batch_size: 9\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (6, "workers.1.inference.batch_size")
    assert "kv.slots (4)" in problem.message
