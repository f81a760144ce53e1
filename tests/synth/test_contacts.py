"""Strokes that touch as printed go on touching, and nothing else is moved."""

import pytest
import torch
from torch import Tensor

from hanmo.medians import even_out, load_medians
from hanmo.synth.strokes.contacts import Contacts, find_contacts, keep_contacts


def printed(characters: str) -> tuple[Tensor, Tensor]:
    """The strokes (T, 16, 2) of some characters, and the number of the character of each."""
    medians = load_medians()
    strokes = [torch.from_numpy(even_out(list(medians.of(c)), 16)) for c in characters]
    owner = torch.arange(len(strokes)).repeat_interleave(torch.tensor([len(s) for s in strokes]))
    return torch.cat(strokes).float(), owner


def touching(contacts: Contacts) -> list[tuple[int, int]]:
    """Which stroke touches which."""
    pairs = (contacts.weight > 0.5).nonzero().tolist()
    return sorted({(stroke, int(contacts.other[stroke, k])) for stroke, k in pairs})


@pytest.mark.parametrize(
    ("character", "pairs"),
    [
        ("亡", [(2, 1)]),  # ㇗ begins on the bar, the dot is apart
        ("口", [(1, 0), (2, 0), (2, 1)]),
        ("三", []),
        ("八", []),
        ("工", [(1, 0), (2, 1)]),  # the last bar is drawn below the foot of the vertical
    ],
)
def test_contacts_are_where_strokes_touch(character: str, pairs: list[tuple[int, int]]) -> None:
    assert touching(find_contacts(*printed(character))) == pairs


def test_characters_side_by_side_touch_nothing_of_each_other() -> None:
    alone = find_contacts(*printed("口"))
    beside = find_contacts(*printed("三口"))
    assert torch.equal(beside.weight[3:], alone.weight)
    assert torch.equal(beside.other[3:][alone.weight > 0.5] - 3, alone.other[alone.weight > 0.5])


def test_a_stroke_returns_to_the_bar_it_began_on() -> None:
    model, owner = printed("亡")
    contacts = find_contacts(model, owner)
    slipped = model.clone()
    slipped[1] += torch.tensor([0.0, -0.06])  # the bar lies higher than printed
    slipped[2] += torch.tensor([0.03, -0.12])  # and ㇗ would cross it
    kept = keep_contacts(slipped, model, contacts, torch.ones(3))

    def gap(points: Tensor) -> float:
        return float((points[2, 0, 1] - points[1, :, 1].mean()).item())

    assert gap(slipped) < 0 < gap(kept)
    assert gap(kept) == pytest.approx(gap(model), abs=0.012)
    assert torch.equal(kept[0], slipped[0])  # nothing was written before the dot


def test_dots_keep_the_gap_to_what_is_near() -> None:
    model, owner = printed("犬")
    contacts = find_contacts(model, owner)
    near = contacts.weight[3]  # the dot lies beside the bar and the left-falling stroke, and touches neither
    assert 0.05 < float(near.max()) < 0.9
    slipped = model.clone()
    slipped[3, :, 0] -= 0.12
    kept = keep_contacts(slipped, model, contacts, torch.ones(4))
    assert float(kept[3, :, 0].mean() - slipped[3, :, 0].mean()) > 0.02


def test_a_closing_bar_is_stretched_between_what_it_closes() -> None:
    model, owner = printed("口")
    contacts = find_contacts(model, owner)
    slipped = model.clone()
    left = model[1, 0, 0]
    slipped[1, :, 0] = left + (model[1, :, 0] - left) * 1.3  # the right side lies further out
    kept = keep_contacts(slipped, model, contacts, torch.ones(3))
    assert float(kept[2, -1, 0] - kept[2, 0, 0]) > float(model[2, -1, 0] - model[2, 0, 0]) + 0.04


def test_nothing_moves_without_slips_or_without_care() -> None:
    model, owner = printed("亡口工")
    contacts = find_contacts(model, owner)
    assert torch.allclose(keep_contacts(model, model, contacts, torch.ones(len(model))), model, atol=1e-6)
    slipped = model + 0.05 * torch.randn(model.shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(keep_contacts(slipped, model, contacts, torch.zeros(len(model))), slipped)
