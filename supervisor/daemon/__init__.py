"""Composition root: builds every part of the supervisor and runs it to its end."""

from supervisor.daemon.run import Announcement, run_daemon

__all__ = ["Announcement", "run_daemon"]
