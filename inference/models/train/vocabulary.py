"""The reader's tokens: bytes, GLM's special tokens, and marks that say where it is reading.

Marks are special tokens, so they have no text. An answer that reads from the page names the page
first, the line at its start, and line and column again at every eighth column it comes to;
on pages behind the first one the page is named each time. `<|skip|>` stands for a character that is
passed over. The marks make reading local: the next
character is never more than ten tokens behind the marks that say where it stands, however long the
page and however often a word is there. (With the line named only at its start, a model of this size
read the first lines of a page well and confused the later ones.)
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from inference.models.train.grid import COLUMNS, ROWS
from inference.models.vocabulary import SPECIAL_TOKENS

MARK_EVERY = 8
PAGES = 16
"""Pages of one prompt that can be told apart."""
PAGE_TOKENS = tuple(f"<|page_{number}|>" for number in range(1, PAGES + 1))
LINE_TOKENS = tuple(f"<|line_{number}|>" for number in range(1, ROWS + 1))
COLUMN_TOKENS = tuple(f"<|column_{column}|>" for column in range(MARK_EVERY, COLUMNS, MARK_EVERY))
SKIP_TOKEN = "<|skip|>"
END_TOKENS = ("<|endoftext|>", "<|user|>", "<|observation|>")

CHAT_TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text("utf-8")


def build_tokenizer() -> Tokenizer:
    """A byte-level tokenizer without merges: every byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: place for place, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = (*PAGE_TOKENS, *LINE_TOKENS, *COLUMN_TOKENS, SKIP_TOKEN)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in (*SPECIAL_TOKENS, *marks)]
    )
    return tokenizer


class Vocabulary:
    """Ids of what answers and prompts are made of."""

    def __init__(self) -> None:
        self.tokenizer = build_tokenizer()
        self.size: int = self.tokenizer.get_vocab_size()
        self.image = self.id("<|image|>")
        self.end = self.id("<|endoftext|>")
        self.newline = self.text("\n")[0]
        self.skip = self.id(SKIP_TOKEN)
        self.pages = [self.id(token) for token in PAGE_TOKENS]
        self.lines = [self.id(token) for token in LINE_TOKENS]
        self.columns = {
            column: self.id(f"<|column_{column}|>")
            for column in range(MARK_EVERY, COLUMNS, MARK_EVERY)
        }
        self._prompt_start = self._special("[gMASK]<sop><|user|>\n")
        self._image_start = self.id("<|begin_of_image|>")
        self._image_end = self.id("<|end_of_image|>")
        self._prompt_end = self._special("<|assistant|>\n")

    def id(self, token: str) -> int:
        """Id of a token. Raises KeyError when there is none."""
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise KeyError(token)
        return int(found)

    def text(self, text: str) -> list[int]:
        """Ids of ordinary text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def prompt(self, pages: int, question: str, tokens_per_page: int) -> tuple[list[int], int]:
        """What the chat template makes of pages and a question, and where the question begins."""
        ids = list(self._prompt_start)
        for page in range(pages):
            ids += [self.pages[page], self._image_start]
            ids += [self.image] * tokens_per_page
            ids.append(self._image_end)
        start = len(ids)
        return ids + self.text(question) + self._prompt_end, start

    def _special(self, text: str) -> list[int]:
        return self.text(text)
