"""When something that keeps dying is started again."""

from supervisor.core.names import fraction_of
from supervisor.core.policy import Backoff


def geometric_seconds(n: int, first: float, largest: float, steps: int) -> float:
    """Delay before the n-th restart in a row, from 1, without jitter.

    systemd's formula (RestartSec, RestartMaxDelaySec, RestartSteps; service.c since v254).
    """
    if n <= 1:
        return first
    if n > steps:
        return largest
    return float(first * (largest / first) ** ((n - 1) / steps))


def delay_seconds(crashes_in_row: int, was_ready: bool, epoch: str, policy: Backoff) -> float:
    """Delay after so many crashes in a row, with jitter drawn from the dead epoch.

    The first crash of a generation that had served is answered at once.
    """
    n = crashes_in_row - 1 if was_ready else crashes_in_row
    if n < 1 or policy.first_seconds <= 0:
        return 0.0
    delay = geometric_seconds(n, policy.first_seconds, policy.max_seconds, policy.steps)
    return delay * (1 + policy.jitter * (2 * fraction_of(f"backoff {epoch}") - 1))
