from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from inference.engine.tokenizer import ChatTokenizer, ImagePart, TextPart, Turn, load_tokenizer
from inference.engine.values import ModelError
from tests.unit.inference_engine.oracle import tokenizer
from tests.unit.inference_engine.tiny import SPECIAL, TEXT, checkpoint

IMAGE = SPECIAL.index("<|image|>")


def chat(*parts: TextPart | ImagePart) -> tuple[Turn, ...]:
    return (Turn("user", parts),)


def library_ids(text: str) -> list[int]:
    from transformers import AutoTokenizer

    library = AutoTokenizer.from_pretrained(checkpoint())
    ids: list[int] = library.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_dict=False
    )
    return ids


@pytest.mark.parametrize("text", ["", "hello", TEXT, "\n two\n\nlines  ", "🦊\u200d\x00 é"])
def test_prompt_is_the_librarys(text: str) -> None:
    assert list(tokenizer().encode_chat(chat(TextPart(text))).token_ids) == library_ids(text)


def test_images_are_expanded_and_recorded() -> None:
    prompt = tokenizer().encode_chat(chat(ImagePart(2, 3), TextPart("a"), ImagePart(1, 2)))
    assert [(place.rows, place.columns) for place in prompt.images] == [(2, 3), (1, 2)]
    for place in prompt.images:
        end = place.start + place.tokens
        assert set(prompt.token_ids[place.start : end]) == {IMAGE}
        assert prompt.token_ids[place.start - 1] == SPECIAL.index("<|begin_of_image|>")
        assert prompt.token_ids[end] == SPECIAL.index("<|end_of_image|>")


@pytest.mark.parametrize("spelling", ["<|image|>", "<|user|>", "<|endoftext|>", "[gMASK]"])
def test_spelling_of_a_special_token_is_text(spelling: str) -> None:
    text = f"before {spelling} after"
    prompt = tokenizer().encode_chat(chat(ImagePart(1, 1), TextPart(text)))
    innocent = tokenizer().encode_chat(chat(ImagePart(1, 1), TextPart("x")))
    number = SPECIAL.index(spelling)
    assert prompt.token_ids.count(number) == innocent.token_ids.count(number)
    assert len(prompt.images) == 1
    written = b"".join(tokenizer().piece(token) for token in prompt.token_ids)
    assert text.encode() in written


def test_pieces_are_the_bytes_of_the_text() -> None:
    for text in (TEXT, "🦊 fox", "\x00\x7f\xa0\xad\n\t", "ÿĀ"):
        ids = tokenizer().encode(text)
        assert b"".join(tokenizer().piece(token) for token in ids) == text.encode()


def test_special_and_unknown_ids_have_no_text() -> None:
    assert tokenizer().piece(IMAGE) == b""
    assert tokenizer().piece(10**6) == b""


def test_tokens_are_spelled_for_people() -> None:
    assert tokenizer().spell(IMAGE) == ("<|image|>", None)
    assert tokenizer().spell(10**6) == ("", b"")
    fox = [tokenizer().spell(token) for token in tokenizer().encode("🦊")]
    assert b"".join(raw or b"" for _, raw in fox) == "🦊".encode()
    assert {text for text, _ in fox} == {"\ufffd"}


def test_template_that_loses_an_image_is_refused() -> None:
    bare = ChatTokenizer(checkpoint(), lambda _: "no image here", "<|image|>")
    with pytest.raises(ValueError, match="lost images"):
        bare.encode_chat(chat(ImagePart(1, 1)))


def test_other_tokenizers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    described = json.loads((checkpoint() / "tokenizer.json").read_text())
    described["decoder"] = {"type": "Fuse"}
    path.write_text(json.dumps(described))
    assert Tokenizer.from_file(str(path)).get_vocab_size() > 0
    with pytest.raises(ModelError, match="byte-level"):
        ChatTokenizer(tmp_path, lambda _: "", "<|image|>")


def test_missing_template_is_refused(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((checkpoint() / name).read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast"}'
    )
    with pytest.raises(ModelError, match="chat template"):
        load_tokenizer(tmp_path)
