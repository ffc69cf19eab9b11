"""Names and random numbers, derived by hashing: the core has no randomness of its own."""

from hashlib import sha256


def epoch_of(entropy: str, slot: str) -> str:
    """Epoch of a new generation: a UUID4 (RFC 9562) of 32 lower-case hex digits."""
    digest = sha256(f"epoch {entropy} {slot}".encode()).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:12]}4{digest[13:16]}{variant}{digest[17:32]}"


def decision_of(epoch: str, why: str) -> str:
    """Name of a decision of the supervisor's own: 16 hex digits, the same however often asked."""
    return sha256(f"decision {epoch} {why}".encode()).hexdigest()[:16]


def fraction_of(text: str) -> float:
    """A number in [0, 1) that looks random and depends on the text only."""
    return int.from_bytes(sha256(text.encode()).digest()[:7], "big") / float(1 << 56)
