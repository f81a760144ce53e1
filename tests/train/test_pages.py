"""Training on pages: who sees what, that it repeats, and that it learns."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.charset import Charset
from hanmo.config import load_toml
from hanmo.data.pack import write_pack
from hanmo.data.sample import Sample
from hanmo.distill import Distillation, build_method
from hanmo.errors import BlankImageError, ConfigError
from hanmo.nets.feature_hooks import FeatureHooks
from hanmo.nets.registry import NetConfig, build_net
from hanmo.normalize import Normalization
from hanmo.synth.mix import Mix, MixConfig
from hanmo.synth.noise import keys_of
from hanmo.synth.paper.page import PageConfig
from hanmo.synth.strokes.hand import StyleConfig
from hanmo.train.augment import sample_augmentation
from hanmo.train.checkpoint import load_tensors, save_tensors
from hanmo.train.config import AugmentConfig, DataConfig, DistillConfig, MethodConfig, PageTrainingConfig, Recipe
from hanmo.train.data import open_training
from hanmo.train.drawn import DrawnData
from hanmo.train.loop import Trainer
from hanmo.train.mixed import MixedData
from hanmo.train.objective import Objective, standardise
from hanmo.train.pages import Pages, random_keys
from hanmo.train.parallel import Processes
from hanmo.train.run import load_trained
from hanmo.train.squares import as_bytes, refit

CPU = torch.device("cpu")
ALONE = Processes(device=CPU)
STILL = AugmentConfig(**{f.name: 0 for f in fields(AugmentConfig) if f.name != "elastic_cells"})
SMALL = Normalization(side=24)


def shrunk(pages: Tensor, side: int, margin: int, *, keep_faint: bool) -> tuple[Tensor, Tensor]:
    """A front end that only makes the page smaller; it finds no ink on white paper."""
    ink = 255 - F.adaptive_avg_pool2d(pages.float(), side)
    return ink.to(torch.uint8), (pages == 255).flatten(1).all(1)


@pytest.fixture(autouse=True)
def _front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about who sees what, and stand on nothing that the front end does."""
    monkeypatch.setattr("hanmo.train.pages.normalize_pages", shrunk)


def drawn_squares(side: int, margin: int, count: int = 12) -> Tensor:
    charset = Charset("永人山水")
    mix = Mix(MixConfig(), charset, StyleConfig(), CPU)
    return mix.write(torch.arange(count) % 4, keys_of(torch.tensor(5), torch.arange(count)), side, margin)


def shown(
    views: PageTrainingConfig, images: Tensor, augment: AugmentConfig = STILL, seed: int = 0
) -> tuple[Pages, Tensor, Tensor]:
    pages = Pages(PageConfig(), 96, SMALL, augment, views)
    generator = torch.Generator().manual_seed(seed)
    randomness = sample_augmentation(augment, len(images), images.shape[-1], generator)
    return pages, *pages.show(images, randomness, random_keys(len(images), generator))[:2]


def alike(a: Tensor, b: Tensor) -> list[bool]:
    same: list[bool] = (a == b).flatten(1).all(1).tolist()
    return same


# Who sees what


@pytest.mark.parametrize(("clean", "spoilt"), [(0.25, 3), (0.0, 4), (0.5, 2), (0.99, 1)])
def test_a_share_stays_clean_for_the_student_and_all_for_the_teacher(clean: float, spoilt: int) -> None:
    images = drawn_squares(32, 3, 4)
    pages, student, teacher = shown(PageTrainingConfig(clean_share=clean), images)
    assert student.shape == teacher.shape == (4, 24, 24)
    assert student.dtype == teacher.dtype == torch.uint8
    expected = as_bytes(refit(images / 255, pages.drawn, SMALL))
    torch.testing.assert_close(teacher, expected, rtol=0, atol=2)
    assert alike(student, teacher).count(False) == spoilt


def test_which_rows_stay_clean_is_random() -> None:
    images = drawn_squares(32, 3)
    seen = {tuple(alike(*shown(PageTrainingConfig(clean_share=0.5), images, seed=s)[1:])) for s in range(6)}
    assert len(seen) > 3
    assert all(sum(rows) == 6 for rows in seen)


def test_the_teacher_may_see_some_of_what_the_student_sees() -> None:
    images = drawn_squares(32, 3)
    _, student, clean = shown(PageTrainingConfig(clean_share=0.25), images)
    _, again, teacher = shown(PageTrainingConfig(clean_share=0.25, spoilt_teacher_share=0.5), images)
    assert torch.equal(again, student)
    assert alike(teacher, clean).count(False) == 6
    assert alike(teacher, student).count(True) == 9
    _, student, teacher = shown(PageTrainingConfig(clean_share=0.25, spoilt_teacher_share=0.75), images)
    assert torch.equal(student, teacher)


def test_a_page_without_ink_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(pages: Tensor, side: int, margin: int, *, keep_faint: bool) -> tuple[Tensor, Tensor]:
        return torch.full((len(pages), side, side), 7, dtype=torch.uint8), torch.arange(len(pages)) % 2 == 0

    monkeypatch.setattr("hanmo.train.pages.normalize_pages", blind)
    _, student, teacher = shown(PageTrainingConfig(clean_share=0.0), drawn_squares(32, 3))
    assert alike(student, teacher).count(True) == 6
    assert alike(student, torch.full_like(student, 7)).count(True) == 6


def test_pages_repeat_with_their_generator_and_squares_are_changed_before() -> None:
    images, views = drawn_squares(32, 3), PageTrainingConfig()
    first, again, other = (shown(views, images, AugmentConfig(), seed)[1:] for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert alike(first[1], shown(views, images)[2]).count(True) == 0, "the teacher's square is augmented"


def test_showing_compiles_to_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this code, nothing waits for the device; the page and the front end have tests of their own."""
    monkeypatch.setattr("hanmo.train.pages.write_page", lambda x, keys, config, side: 255 - as_bytes(x))
    pages = Pages(PageConfig(), 96, SMALL, AugmentConfig(), PageTrainingConfig(spoilt_teacher_share=0.2))
    generator = torch.Generator().manual_seed(0)
    images = drawn_squares(32, 3)
    inputs = images, sample_augmentation(pages.augment, 12, 32, generator), random_keys(12, generator)
    compiled = torch.compile(pages.show, backend="eager", fullgraph=True, dynamic=False)(*inputs)
    assert all(torch.equal(a, b) for a, b in zip(compiled[:2], pages.show(*inputs)[:2], strict=True))


# The loss


@pytest.mark.parametrize("mixup", [False, True])
def test_the_teacher_is_shown_its_own_pictures_mixed_alike(mixup: bool) -> None:
    methods = Distillation([("kd", 1.0, build_method("kd", {})), ("at", 1.0, build_method("at", {}))], 0.5)
    nets = [build_net(NetConfig(width=8), 5, 16).eval() for _ in range(2)]
    seen: list[Tensor] = []
    for net in nets:
        net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    goal = Objective(
        FeatureHooks(nets[0], methods.student_layers),
        FeatureHooks(nets[1], methods.teacher_layers),
        methods,
        augment=AugmentConfig(),
        classes=5,
        label_smoothing=0.0,
        mixup=mixup,
        precision=torch.float32,
    )
    spoilt, clean = torch.randint(0, 256, (2, 6, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    loss, parts = goal(spoilt, torch.tensor([0, 1, 2, 3, 4, 0]), None, torch.tensor(0.3), clean)
    for x, images in zip(seen, (spoilt, clean), strict=True):
        expected = standardise(images.unsqueeze(1) / 255)
        expected = 0.3 * expected + 0.7 * expected.flip(0) if mixup else expected
        torch.testing.assert_close(x, expected)
    torch.testing.assert_close(loss.detach(), 0.5 * parts["label"] + parts["kd"] + parts["at"])


# Whole trainings


@pytest.fixture
def on_pages(tmp_path: Path) -> str:
    path = tmp_path / "pages.toml"
    text = 'characters = "永人山水"\nper_character = 12\n[normalization]\nside = 24\n[page]\n'
    path.write_text(text, encoding="utf-8")
    return f"synth:{path}"


def train(recipe: Recipe, folder: Path, **how: Any) -> dict[str, Any]:
    return Trainer(recipe, folder, Processes.join("cpu")).run(**how)


def clean_run(small: Any, on_pages: str, folder: Path) -> Path:
    """A net trained on the same characters without pages."""
    plain = folder / "plain.toml"
    text = Path(on_pages.removeprefix("synth:")).read_text(encoding="utf-8").replace("[page]\n", "")
    plain.write_text(text, encoding="utf-8")
    train(small(data={"train": f"synth:{plain}", "test": None}, train={"epochs": 1}), folder / "teacher")
    return folder / "teacher"


def test_squares_for_pages_are_drawn_finer(on_pages: str) -> None:
    data = DrawnData(on_pages.removeprefix("synth:"), CPU)
    images, _ = next(iter(data.epoch(0, 16, 0, ALONE)))
    assert data.side == 24
    assert images.shape == (16, 32, 32)


def test_a_stopped_distillation_on_pages_goes_on_bit_for_bit(
    small: Any, on_pages: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = clean_run(small, on_pages, tmp_path)
    methods = (MethodConfig(name="kd"), MethodConfig(name="at"))
    recipe = small(
        data={"train": on_pages, "test": None},
        optim={"mixup": 0.2},
        train={"epochs": 2, "checkpoint_every": 1, "start": str(teacher)},
        distill=DistillConfig(teachers=(str(teacher),), methods=methods),
        page_training=PageTrainingConfig(clean_share=0.2, spoilt_teacher_share=0.1),
    )
    train(recipe, tmp_path / "straight")

    def stopping(*batch: Any) -> Any:
        if trainer.state.step == 4:
            raise KeyboardInterrupt
        return advance(*batch)

    trainer = Trainer(recipe, tmp_path / "stopped", Processes.join("cpu"))
    advance = trainer.advance
    monkeypatch.setattr(trainer, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    train(recipe, tmp_path / "stopped", resume=True)
    straight, stopped = ((tmp_path / n / "weights.safetensors").read_bytes() for n in ("straight", "stopped"))
    assert straight == stopped
    train(replace(recipe, page_training=PageTrainingConfig(clean_share=0.9)), tmp_path / "cleaner")
    assert (tmp_path / "cleaner" / "weights.safetensors").read_bytes() != straight


def test_runs_of_the_first_normalisation_teach_and_begin(small: Any, on_pages: str, tmp_path: Path) -> None:
    """Clean squares are the same in both versions; a page is what the second adds."""
    teacher = clean_run(small, on_pages, tmp_path)
    weights = teacher / "weights.safetensors"
    tensors, header = load_tensors(weights)
    header["normalization"] |= {"version": 1}
    save_tensors(weights, tensors, header)
    start = {"start": str(teacher)}
    recipe = small(
        data={"train": on_pages, "test": None},
        train={"epochs": 1} | start,
        distill=DistillConfig(teachers=(str(teacher),)),
    )
    train(recipe, tmp_path / "run")
    own = DrawnData(on_pages.removeprefix("synth:"), CPU).normalization
    assert load_trained(tmp_path / "run").normalization == own


def test_real_samples_are_put_on_pages_too(small: Any, on_pages: str, tmp_path: Path) -> None:
    picture = np.full((40, 40), 255, np.uint8)
    picture[4:36, 4:36] = 0
    samples = [Sample(c, picture, "real.gnt") for c in "山人" for _ in range(3)]
    write_pack(tmp_path / "real", samples, normalization=SMALL)
    data, described = open_training(DataConfig(train=on_pages, real=str(tmp_path / "real"), real_share=0.25), CPU)
    assert isinstance(described, MixedData)
    images, _ = next(iter(data.epoch(0, 8, 0, ALONE)))
    assert images.shape == (8, 32, 32)
    assert (images[:, 4:28, 4:28] > 250).all(2).all(1).tolist() == [True] * 2 + [False] * 6
    mixed = small(data={"train": on_pages, "test": None, "real": str(tmp_path / "real")}, train={"epochs": 1})
    assert train(mixed, tmp_path / "run")["step"] == 3


def found_one_by_one(pages: Tensor, side: int, margin: int, *, keep_faint: bool) -> tuple[Tensor, Tensor]:
    """The front end in numpy, page by page."""
    normalize = Normalization(side=side, margin=margin, version=3 if keep_faint else 2)
    squares = torch.zeros(len(pages), side, side, dtype=torch.uint8)
    blank = torch.zeros(len(pages), dtype=torch.bool)
    for number, page in enumerate(pages.numpy()):
        try:
            squares[number] = torch.from_numpy(normalize(page))
        except BlankImageError:
            blank[number] = True
    return squares, blank


def test_an_empty_page_with_a_long_line_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be a 一 or a 十, drawn with a ruler."""
    cross, slash = torch.zeros(2, SMALL.side, SMALL.side, dtype=torch.uint8)
    cross[11:13, 2:22] = cross[2:22, 11:13] = 255
    slash[torch.arange(2, 22), torch.arange(2, 22)] = 255

    def crosses_and_slashes(pages: Tensor, side: int, margin: float, *, keep_faint: bool) -> tuple[Tensor, Tensor]:
        squares = torch.stack([cross, slash]).repeat(len(pages) // 2, 1, 1)
        return squares, torch.zeros(len(pages), dtype=torch.bool)

    monkeypatch.setattr("hanmo.train.pages.normalize_pages", crosses_and_slashes)
    pages = Pages(PageConfig(), 96, SMALL, STILL, PageTrainingConfig(clean_share=0.0, empty_share=1.0))
    images, generator = drawn_squares(32, 3), torch.Generator().manual_seed(0)
    randomness = sample_augmentation(STILL, len(images), images.shape[-1], generator)
    student, teacher, empty = pages.show(images, randomness, random_keys(len(images), generator))
    assert empty is not None
    assert int(empty.sum()) == len(images) // 2
    assert torch.equal(student[empty], slash.expand(len(images) // 2, -1, -1))
    assert torch.equal(student[~empty], teacher[~empty])


def test_the_toy_recipe_learns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hanmo.train.pages.normalize_pages", found_one_by_one)
    recipe = load_toml("@pages-toy", Recipe, ["train.epochs=3"])
    trainer = Trainer(recipe, tmp_path / "toy", Processes.join("cpu"))
    trainer.run()
    images, labels = next(iter(trainer.setup.data.train.epoch(99, 200, 0, ALONE)))
    assert trainer.setup.show_pages
    generator = torch.Generator().manual_seed(0)
    views = trainer.setup.show_pages(
        images, sample_augmentation(STILL, 200, images.shape[-1], generator), random_keys(200, generator)
    )[:2]
    trainer.state.net.load_state_dict(load_trained(tmp_path / "toy").net.state_dict())
    trainer.state.net.eval()
    spoilt, clean = (
        (trainer.state.net(standardise(v[:, None] / 255)).argmax(1) == labels).float().mean() for v in views
    )
    assert min(spoilt, clean) > 0.18, "chance is 0.1, with a standard deviation of 0.02"


# Empty pages


def test_of_a_share_of_pages_nothing_is_written() -> None:
    images = drawn_squares(32, 3, 40)
    pages = Pages(PageConfig(), 96, SMALL, STILL, PageTrainingConfig(clean_share=0.25, empty_share=0.2))
    generator = torch.Generator().manual_seed(0)
    randomness = sample_augmentation(STILL, 40, images.shape[-1], generator)
    student, teacher, empty = pages.show(images, randomness, random_keys(40, generator))
    assert empty is not None
    assert 0 < int(empty.sum()) <= 8, "where the front end finds nothing on the page, the clean square is shown"
    assert (teacher.flatten(1).amax(1) > 0).all()
    assert (student.flatten(1).amax(1) > 0).all()
    assert not any(alike(student[empty], teacher[empty]))


def test_nothing_is_learnt_of_a_character_on_an_empty_page() -> None:
    """Where nothing is written the loss is least for a net that holds all characters for equally likely."""
    objective = Objective(
        FeatureHooks(nn.Flatten()),
        FeatureHooks(nn.Flatten()),
        Distillation([("kd", 0.9, build_method("kd", {"temperature": 1.0}))], 0.1),
        augment=STILL,
        classes=4,
        label_smoothing=0.0,
        mixup=False,
        precision=torch.float32,
    )
    flat = torch.full((2, 2, 2), 128, dtype=torch.uint8)
    sure = flat.clone()
    sure[:, 0, 0] = 255
    labels, empty, share = torch.zeros(2, dtype=torch.long), torch.tensor([True, True]), torch.ones(())
    assert objective(flat, labels, None, share, sure, empty)[0] < objective(sure, labels, None, share, sure, empty)[0]
    assert objective(flat, labels, None, share, sure)[0] > objective(sure, labels, None, share, sure)[0]


# What is refused


def test_views_that_make_no_sense_are_refused(small: Any, on_pages: str, tmp_path: Path) -> None:
    for shares in ({"clean_share": 1.0}, {"clean_share": -0.1}):
        with pytest.raises(ConfigError, match="clean_share"):
            PageTrainingConfig(**shares)
    for shares in (
        {"spoilt_teacher_share": 0.8},
        {"spoilt_teacher_share": -0.1},
        {"empty_share": 0.8},
        {"empty_share": -0.1},
    ):
        with pytest.raises(ConfigError, match=next(iter(shares))):
            PageTrainingConfig(**shares)
    with pytest.raises(ConfigError, match="cannot be mixed with a character"):
        small(page_training=PageTrainingConfig(empty_share=0.1), optim={"mixup": 0.2})
    distil = DistillConfig(teachers=("t",), methods=(MethodConfig(name="dkd"),))
    with pytest.raises(ConfigError, match="method 'dkd' learns nothing of empty pages; take kd"):
        Recipe(name="r", data=DataConfig(train="p"), distill=distil, page_training=PageTrainingConfig(empty_share=0.1))
    old = tmp_path / "old.toml"
    text = Path(on_pages.removeprefix("synth:")).read_text(encoding="utf-8")
    old.write_text(text.replace("side = 24", "side = 24\nversion = 1"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"old.toml: normalisation version 1 cannot read pages"):
        Trainer(small(data={"train": f"synth:{old}", "test": None}), tmp_path / "run", Processes.join("cpu"))
    with pytest.raises(ConfigError, match=r"small-train: draws no pages, so \[page_training\] has no use"):
        Trainer(small(page_training=PageTrainingConfig()), tmp_path / "run", Processes.join("cpu"))
