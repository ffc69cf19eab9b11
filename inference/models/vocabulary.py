"""Trains the tiny model's vocabulary: `python -m inference.models.vocabulary TEXT...`.

Byte-level BPE, so that every text there is comes back unchanged. The result is kept in the
repository (`tiny_files/tokenizer.json`); this module is run only to make it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

FILES = Path(__file__).parent / "tiny_files"
TOKENIZER = FILES / "tokenizer.json"
TEXT_TOKENS = 1522
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|pad|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
)


def train(texts: list[str]) -> Tokenizer:
    """A byte-level BPE vocabulary of TEXT_TOKENS tokens, then the special ones."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    return tokenizer


def main(arguments: list[str]) -> int:
    """Train on the named files and replace the kept vocabulary."""
    texts = [Path(argument).read_text("utf-8") for argument in arguments]
    TOKENIZER.write_text(train(texts).to_str(pretty=True) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
