"""The defaults of the core are those of the configuration, group by group."""

from supervisor.config.model import Backoff, Configuration, Probing
from supervisor.config.policy import policy_of
from supervisor.core.policy import Policy


def test_defaults_agree() -> None:
    assert policy_of(Configuration()) == Policy()


def test_what_is_configured_arrives() -> None:
    configuration = Configuration(
        backoff=Backoff(first_seconds=3.0), probing=Probing(late_tick_seconds=9.0)
    )

    policy = policy_of(configuration)

    assert policy.backoff.first_seconds == 3.0
    assert policy.patience.late_tick_seconds == 9.0
