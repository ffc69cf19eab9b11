"""Signals that can only ever reach the process they are meant for.

A pidfd is opened first and the identity verified afterwards: from then on the descriptor names that
process, whatever happens to its number (pidfd_open(2)).
"""

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from supervisor.child.procfs import matches
from supervisor.core.model import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

# PIDFD_SIGNAL_PROCESS_GROUP of linux/pidfd.h, kernels from 6.9 on.
_WHOLE_GROUP = 1 << 2


def open_pidfd(identity: Identity) -> int | None:
    """A descriptor of exactly this process (also while it is a zombie); None when it is no more."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if matches(identity) is None:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def _verified(identity: Identity) -> "Iterator[int | None]":
    descriptor = open_pidfd(identity)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signal this process and no other; False when it is no more. May raise PermissionError."""
    with _verified(identity) as descriptor:
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        return True


def send_group(leader: Identity, number: signal.Signals) -> bool:
    """Signal the process group this process leads; False when the leader is no more."""
    with _verified(leader) as descriptor:
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number, None, _WHOLE_GROUP)
        except ProcessLookupError:
            return False
        except OSError:
            # An older kernel. The leader was verified a moment ago, and while it lives its group is
            # its own.
            return _send_group_by_number(leader, number)
        return True


def _send_group_by_number(leader: Identity, number: signal.Signals) -> bool:
    stat = matches(leader)
    if stat is None or stat.group != leader.pid:
        return False
    try:
        os.killpg(leader.pid, number)
    except ProcessLookupError:
        return False
    return True
