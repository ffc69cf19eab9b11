"""Wait for the death of processes that may not be our children."""

import asyncio
import os
from collections.abc import Iterable

from supervisor.child.signals import open_pidfd
from supervisor.core.model import Identity


async def wait_gone(identities: Iterable[Identity], timeout_seconds: float) -> bool:
    """Whether all of them died in time; a zombie is dead."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*map(_gone, identities))
    except TimeoutError:
        return False
    return True


async def _gone(identity: Identity) -> None:
    descriptor = open_pidfd(identity)
    if descriptor is None:
        return
    loop, dead = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(descriptor, dead.set)
        await dead.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
