"""What is exported is an ordinary checkpoint that computes what was trained."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from inference.config import InferenceConfig, KvConfig
from inference.engine.load import load_checkpoint
from inference.engine.patches import level_table, patchify
from inference.engine.tokenizer import ImagePart, TextPart, Turn, load_tokenizer
from inference.models.checkpoint import check_checkpoint
from inference.models.train.batch import make_batch
from inference.models.train.evaluate import Reader, held_out, questions_of
from inference.models.train.export import export
from inference.models.train.grid import TOKENS_HIGH, TOKENS_PER_PAGE, TOKENS_WIDE
from inference.models.train.network import Network, model_config
from inference.models.train.tasks import TaskMaker
from inference.models.train.vocabulary import Vocabulary

VOCABULARY = Vocabulary()


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(5)
    return Network(model_config(VOCABULARY)).eval()


@pytest.fixture(scope="module")
def directory(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("reader")
    export(network, VOCABULARY, directory)
    return directory


def config(directory: Path) -> InferenceConfig:
    return InferenceConfig(model=str(directory), kv=KvConfig(slots=3, length=2048))


def test_the_checkpoint_is_whole_and_ordinary(directory: Path) -> None:
    check_checkpoint(directory)
    weights = load_file(directory / "model.safetensors")
    assert not any("ink" in name for name in weights)
    assert (directory / "model.safetensors").stat().st_size < 12_000_000


def test_training_sees_what_the_engine_sees(network: Network, directory: Path) -> None:
    checkpoint = load_checkpoint(directory, config(directory))
    example = held_out("test", "transcription", 1, 20, 2)[0]
    table = level_table(checkpoint.image_mean, checkpoint.image_std)
    grid = torch.tensor([[1, TOKENS_HIGH, TOKENS_WIDE]])
    with torch.inference_mode():
        trained = network.see(make_batch([example], VOCABULARY).ink)
        for number, page in enumerate(questions_of([example])[0].pages):
            patches = patchify(page, table, 28, 1, 1)
            served = checkpoint.model.model.visual(patches, grid_thw=grid, return_dict=True)
            torch.testing.assert_close(trained[number], served.pooler_output, rtol=1e-4, atol=1e-4)


def test_training_predicts_what_the_engine_says(network: Network, directory: Path) -> None:
    """Teacher forcing along the engine's own answer gives the same tokens back."""
    example = TaskMaker(VOCABULARY, Random(2)).line(4, 2)
    said = Reader(directory, config(directory)).answer_ids(questions_of([example]), 24)[0]
    forced = type(example)(
        example.pages, example.question, said, [-1] * len(said), example.question_places, ""
    )
    batch = make_batch([forced], VOCABULARY)
    with torch.inference_mode():
        seen = network.see(batch.ink)[batch.kept]
        embedded = network.embed(batch.ids).masked_scatter(batch.visual[..., None], seen)
        hidden = network.read(embedded, batch.positions).hidden
        best = network.model.lm_head(hidden[batch.targets >= 0]).argmax(-1)
    assert best.tolist() == said
    assert len(set(said)) > 3


def test_generate_and_the_slot_engine_agree(directory: Path) -> None:
    checkpoint = load_checkpoint(directory, config(directory))
    example = TaskMaker(VOCABULARY, Random(4)).value(6)
    question = questions_of([example])[0]
    said = Reader(directory, config(directory)).answer_ids([question] * 2, 24)
    prompt, _ = VOCABULARY.prompt(1, example.question, TOKENS_PER_PAGE)
    ids = torch.tensor([prompt])
    table = level_table(checkpoint.image_mean, checkpoint.image_std)
    out = checkpoint.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == VOCABULARY.image).int(),
        pixel_values=patchify(question.pages[0], table, 28, 1, 1),
        image_grid_thw=torch.tensor([[1, TOKENS_HIGH, TOKENS_WIDE]]),
        max_new_tokens=24,
        do_sample=False,
    )
    assert said == [out[0, len(prompt) :].tolist()] * 2


@pytest.mark.parametrize("pages", [0, 1, 3])
def test_prompts_are_what_the_chat_template_makes(directory: Path, pages: int) -> None:
    tokenizer = load_tokenizer(directory)
    parts = [ImagePart(TOKENS_HIGH, TOKENS_WIDE)] * pages
    found = tokenizer.encode_chat([Turn("user", (*parts, TextPart("What is on line 3?")))])
    ids, start = VOCABULARY.prompt(pages, "What is on line 3?", TOKENS_PER_PAGE)
    assert list(found.token_ids) == ids
    assert "".join(tokenizer.piece(token).decode() for token in ids[start:]).startswith("What is")
    assert len(found.images) == pages


def test_marks_have_no_text_and_everything_else_comes_back(directory: Path) -> None:
    tokenizer = load_tokenizer(directory)
    text = "Gl\u00fcck <|line_3|>\n\t~ \u4f60\u597d"
    assert b"".join(map(tokenizer.piece, tokenizer.encode(text))).decode() == text
    marks = [*VOCABULARY.lines, *VOCABULARY.pages, *VOCABULARY.columns.values(), VOCABULARY.skip]
    assert b"".join(map(tokenizer.piece, marks)) == b""
    assert len(set(marks)) == len(marks)


def test_white_is_exactly_nothing_to_the_tower(directory: Path) -> None:
    checkpoint = load_checkpoint(directory, config(directory))
    table = level_table(checkpoint.image_mean, checkpoint.image_std)
    white = np.full((28, 28, 3), 255, np.uint8)
    assert not patchify(white, table, 28, 1, 1).any()
    assert set(patchify(0 * white, table, 28, 1, 1).flatten().tolist()) == {-4.0}
