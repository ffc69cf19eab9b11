"""Reading request bodies with a limit on size and time."""

import asyncio

from starlette.requests import ClientDisconnect, Request

_MAX_BYTES = 16 * 1024
_SECONDS = 10.0


class BodyRefusedError(ValueError):
    """The body was not taken; `status` is the HTTP status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(request: Request) -> bytes:
    """The whole body; BodyRefusedError if it is too large, too slow or cut off."""
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise BodyRefusedError(413, f"the body exceeds {_MAX_BYTES} bytes")
    except TimeoutError:
        raise BodyRefusedError(408, "the body took too long") from None
    except ClientDisconnect:
        raise BodyRefusedError(400, "the body was cut off") from None
    return bytes(body)
