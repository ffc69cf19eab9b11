"""The core's policy from what the operator configured."""

from supervisor.config.model import Configuration
from supervisor.core.policy import Backoff, Budget, Deadlines, Hang, Patience, Policy


def policy_of(configuration: Configuration) -> Policy:
    """Numbers of the lifecycle core, in seconds; the groups carry the same names on both sides."""
    probing = configuration.probing
    return Policy(
        deadlines=Deadlines(**configuration.lifecycle.model_dump()),
        backoff=Backoff(**configuration.backoff.model_dump()),
        budget=Budget(**configuration.budget.model_dump()),
        hang=Hang(**probing.hang.model_dump()),
        patience=Patience(late_tick_seconds=probing.late_tick_seconds),
    )
