"""An endpoint of the articles over HTTP: a chat completion whose answer is put into their shape."""

from starlette.types import Message, Receive, Scope, Send

from supervisor.gateway.articles import Article
from supervisor.gateway.chat import ChatCompletions
from supervisor.gateway.hub import Hub

_OWN_HEADERS = (b"content-type", b"content-length")


class ArticleEndpoint:
    """The ASGI endpoint. An answer that is cut short stays unanswered, as with any other."""

    def __init__(self, hub: Hub, article: Article) -> None:
        self._article = article
        self._completions = ChatCompletions(hub, article.request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        start: Message = {}
        gathered = bytearray()

        async def translating_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            gathered.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await _send(send, start, self._translated(start["status"], bytes(gathered)))

        await self._completions(scope, receive, translating_send)

    def _translated(self, status: int, body: bytes) -> bytes:
        return self._article.answer(body) if status == 200 else self._article.failure(body)


async def _send(send: Send, start: Message, body: bytes) -> None:
    headers = [pair for pair in start["headers"] if pair[0] not in _OWN_HEADERS]
    headers += [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
