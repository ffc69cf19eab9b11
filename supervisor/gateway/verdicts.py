"""How epochs died, as the supervisor says it."""

import asyncio

MAX_VERDICTS = 256


class Verdicts:
    """The last verdicts (epoch -> counted), and waiting for one."""

    def __init__(self) -> None:
        self.known: dict[str, bool] = {}
        self._changed = asyncio.Event()

    def record(self, epoch: str, counted: bool) -> None:
        """The supervisor's verdict; a later one for the same epoch replaces it."""
        self.known.pop(epoch, None)
        self.known[epoch] = counted
        while len(self.known) > MAX_VERDICTS:
            del self.known[next(iter(self.known))]
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, epoch: str, seconds: float) -> None:
        """Until the verdict on this epoch is known, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                while epoch not in self.known:
                    await self._changed.wait()
        except TimeoutError:
            return
