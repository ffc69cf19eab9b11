"""Time and chance, as the core is given them."""

import secrets
import time


def now() -> float:
    """Monotonic seconds of this boot: what decides."""
    return time.monotonic()


def entropy() -> str:
    """Thirty-two fresh random hex digits."""
    return secrets.token_hex(16)
