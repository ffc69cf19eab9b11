"""The tiny model: an ordinary checkpoint, lively answers, a vocabulary that loses nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Glm4vForConditionalGeneration
from transformers.utils import logging as transformers_logging

from inference.config import ProfileConfig
from inference.models import tiny
from inference.models.vocabulary import SPECIAL_TOKENS, TOKENIZER, train
from inference.render import Pixels, render_pages, resolve_style

DATA = Path(__file__).parents[2] / "data"
TEXTS = ("genesis-kjv.txt", "tang-poems.txt")
VOCABULARY = Tokenizer.from_file(str(TOKENIZER))
IMAGE = VOCABULARY.encode("<|image|>").ids[0]
GREY_MEAN, GREY_STD = 0.45, 0.27


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny")
    tiny.write_checkpoint(directory)
    return directory


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Glm4vForConditionalGeneration:
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    loaded, report = Glm4vForConditionalGeneration.from_pretrained(
        checkpoint, output_loading_info=True, local_files_only=True
    )
    assert not any(report.values()), report
    return loaded.eval()


def patches(pixels: Pixels) -> tuple[torch.Tensor, list[int]]:
    """Patches in the library's order: merged 2x2, channels, the frame twice in time."""
    image = (torch.from_numpy(pixels) / 255 - GREY_MEAN) / GREY_STD
    rows, columns = pixels.shape[0] // 14, pixels.shape[1] // 14
    split = image.view(rows // 2, 2, 14, columns // 2, 2, 14, 3)
    flat = split.permute(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, 3, 1, 196)
    return flat.expand(-1, -1, 2, -1).reshape(rows * columns, 1176), [1, rows, columns]


def answer(
    model: Glm4vForConditionalGeneration, question: str, document: str, length: int
) -> tuple[list[int], torch.Tensor]:
    """Greedy answer and the logits it was chosen from; the document is drawn as pages."""
    style = resolve_style(ProfileConfig(page_width_px=308, page_height_px=224))
    pages = [patches(page.pixels) for page in render_pages(document, style)]
    prompt = "[gMASK]<sop><|user|>\n"
    for _, (_, rows, columns) in pages:
        prompt += "<|begin_of_image|>" + "<|image|>" * (rows * columns // 4) + "<|end_of_image|>"
    ids = torch.tensor([VOCABULARY.encode(prompt + question + "<|assistant|>\n").ids])
    pictures = {}
    if pages:
        pictures["pixel_values"] = torch.cat([pixels for pixels, _ in pages])
        pictures["image_grid_thw"] = torch.tensor([grid for _, grid in pages])
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=torch.eq(ids, IMAGE).int(),
            **pictures,
            max_new_tokens=length,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    return out.sequences[0, ids.shape[1] :].tolist(), torch.cat(out.logits)


def test_the_weights_are_these(checkpoint: Path) -> None:
    """They are the same on every machine; whoever changes them on purpose changes this."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(checkpoint / "model.safetensors").items()):
        digest.update(name.encode() + tensor.tobytes())
    assert digest.hexdigest()[:16] == "d5889feffd43d58f"


def test_it_reads_pages(model: Glm4vForConditionalGeneration) -> None:
    text = (DATA / "tang-poems.txt").read_text("utf-8")
    first, _ = answer(model, "Who wrote this?", text[:300], 24)
    again, _ = answer(model, "Who wrote this?", text[:300], 24)
    other, _ = answer(model, "Who wrote this?", text[300:600], 24)
    assert first == again
    assert first != other


@pytest.mark.parametrize("document", ["", (DATA / TEXTS[0]).read_text("utf-8")[:1500]])
def test_answers_are_lively_and_decided(
    model: Glm4vForConditionalGeneration, document: str
) -> None:
    ids, logits = answer(model, "Tell me about it, in some detail.", document, 200)
    assert len(ids) == 200
    assert len(set(ids)) > 60
    assert not any(ids[-period:] == ids[-2 * period : -period] for period in range(1, 40))
    best = logits.topk(2).values
    gaps = best[:, 0] - best[:, 1]
    assert gaps.mean() > 1
    assert gaps.min() > 1e-4


@pytest.mark.parametrize("name", TEXTS)
def test_the_texts_come_back_unchanged(name: str) -> None:
    text = (DATA / name).read_text("utf-8")
    ids = VOCABULARY.encode(text).ids
    assert VOCABULARY.decode(ids) == text
    assert len(ids) < 1.3 * len(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_every_text_comes_back_unchanged(text: str) -> None:
    ids = VOCABULARY.encode(text).ids
    assert VOCABULARY.decode(ids, skip_special_tokens=False) == text


def test_the_kept_vocabulary_is_what_training_gives() -> None:
    texts = [(DATA / name).read_text("utf-8") for name in TEXTS]
    assert train(texts).to_str(pretty=True) + "\n" == TOKENIZER.read_text("utf-8")


def test_ends_and_marks_agree_with_the_vocabulary(checkpoint: Path) -> None:
    library = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    assert len(library) == 1536
    for token in SPECIAL_TOKENS:
        assert library.convert_tokens_to_ids(token) == VOCABULARY.token_to_id(token)
        assert (
            library.decode([library.convert_tokens_to_ids(token)], skip_special_tokens=True) == ""
        )
    assert library.eos_token == "<|endoftext|>"
    assert library.pad_token == "<|pad|>"


def test_chat_template(checkpoint: Path) -> None:
    library = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": " 谁?\n"}]},
        {"role": "assistant", "content": "杜甫"},
        {"role": "user", "content": "Sure?"},
    ]
    text = library.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert text == (
        "[gMASK]<sop><|system|>\nBe brief."
        "<|user|>\n<|begin_of_image|><|image|><|end_of_image|> 谁?\n"
        "<|assistant|>\n杜甫<|user|>\nSure?<|assistant|>\n"
    )
    with pytest.raises(Exception, match="there is no role wizard"):
        library.apply_chat_template([{"role": "wizard", "content": ""}], tokenize=False)
