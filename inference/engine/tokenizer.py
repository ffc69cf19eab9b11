"""Text to token ids and back, and the chat template of the checkpoint.

Two dangers are met here. A text may contain the spelling of a special token: such a text is put
into the template as a mark and encoded apart, so that it can neither close a turn nor pose as an
image. And the bytes of one character may be spread over several tokens: ids are turned into bytes,
never into strings, and joined before decoding.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from inference.engine.values import ImagePlace, ModelError, Prompt

Template = Callable[[list[dict[str, object]]], str]
"""Messages to the text the model was trained on, with the beginning of the answer."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words inside a turn."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture inside a turn, measured in visual tokens."""

    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: str
    parts: tuple[TextPart | ImagePart, ...]


class ChatTokenizer:
    """Tokenizer and chat template of one checkpoint; may be used from several threads."""

    def __init__(self, directory: Path, template: Template, image_token: str) -> None:
        """Read `tokenizer.json`. Raises ModelError unless it is a byte-level tokenizer."""
        path = directory / "tokenizer.json"
        if not path.exists():
            raise ModelError(f"{path} does not exist")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._literal = Tokenizer.from_file(str(path))
        self._literal.encode_special_tokens = True
        self._template = template
        image_id = self._tokenizer.token_to_id(image_token)
        if image_id is None:
            raise ModelError(f"{path} has no token {image_token}")
        self._image_id: int = image_id
        added = self._tokenizer.get_added_tokens_decoder()
        self._added = {number: token.content.encode() for number, token in added.items()}
        self._special = {number for number, token in added.items() if token.special}
        spellings = [re.escape(added[number].content) for number in self._special]
        self._spelling = re.compile("|".join(spellings) if spellings else r"(?!)")
        self._bytes = _byte_alphabet(path)

    def encode(self, text: str) -> list[int]:
        """Ids of a text in which the spelling of a special token is nothing special."""
        ids: list[int] = self._literal.encode(text, add_special_tokens=False).ids
        return ids

    def encode_chat(self, turns: Sequence[Turn]) -> Prompt:
        """The prompt of a conversation, each image expanded to its visual tokens.

        Raises ValueError when the template refuses the conversation or loses an image.
        """
        mark = f"\ue000{secrets.token_hex(8)}-"
        apart: list[str] = []
        rendered = self._template([self._message(turn, mark, apart) for turn in turns])
        images = [part for turn in turns for part in turn.parts if isinstance(part, ImagePart)]
        ids: list[int] = []
        places: list[ImagePlace] = []
        for piece, text in enumerate(re.split(f"{mark}([0-9]+)\ue001", rendered)):
            if piece % 2:
                ids += self.encode(apart[int(text)])
                continue
            for number in self._tokenizer.encode(text, add_special_tokens=False).ids:
                if number != self._image_id:
                    ids.append(number)
                    continue
                if len(places) == len(images):
                    raise ValueError("the chat template gave more images than the request")
                image = images[len(places)]
                places.append(ImagePlace(len(ids), image.rows, image.columns))
                ids += [number] * places[-1].tokens
        if len(places) != len(images):
            raise ValueError("the chat template lost images of the request")
        return Prompt(tuple(ids), tuple(places))

    def _message(self, turn: Turn, mark: str, apart: list[str]) -> dict[str, object]:
        def safe(text: str) -> str:
            if not self._spelling.search(text):
                return text
            apart.append(text)
            return f"{mark}{len(apart) - 1}\ue001"

        content: list[dict[str, object]] = [
            {"type": "text", "text": safe(part.text)}
            if isinstance(part, TextPart)
            else {"type": "image"}
            for part in turn.parts
        ]
        if len(content) == 1 and content[0]["type"] == "text":
            return {"role": turn.role, "content": content[0]["text"]}
        return {"role": turn.role, "content": content}

    def piece(self, token_id: int) -> bytes:
        """UTF-8 bytes of a token; special tokens and ids outside the vocabulary have none."""
        if token_id in self._special:
            return b""
        if token_id in self._added:
            return self._added[token_id]
        token = self._tokenizer.id_to_token(token_id)
        if token is None:
            return b""
        return bytes(self._bytes[character] for character in token)

    def spell(self, token_id: int) -> tuple[str, bytes | None]:
        """A token to be shown: text, and UTF-8 bytes unless it is special and has none.

        Bytes that are no whole character are U+FFFD in the text.
        """
        if token_id in self._special:
            return self._added[token_id].decode(), None
        piece = self.piece(token_id)
        return piece.decode("utf-8", "replace"), piece


def load_tokenizer(directory: Path) -> ChatTokenizer:
    """Tokenizer, chat template and image token of a checkpoint directory."""
    # Imported late: this pulls in transformers, and with it torch.
    from transformers import AutoTokenizer

    described = json.loads((directory / "config.json").read_text("utf-8"))
    library = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    image_token = library.convert_ids_to_tokens(int(described["image_token_id"]))
    if not library.chat_template:
        raise ModelError(f"{directory} has no chat template")

    def template(messages: list[dict[str, object]]) -> str:
        text = library.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return str(text)

    return ChatTokenizer(directory, template, str(image_token))


def _byte_alphabet(path: Path) -> dict[str, int]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's map).

    Printable Latin-1 stands for itself; the other bytes take the characters from U+0100 on.
    """
    decoder = json.loads(path.read_text("utf-8")).get("decoder") or {}
    if "ByteLevel" not in json.dumps(decoder):
        raise ModelError(f"{path} is not a byte-level tokenizer")
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(plain)]
    alphabet = {chr(byte): byte for byte in plain}
    alphabet.update({chr(256 + place): byte for place, byte in enumerate(others)})
    return alphabet
