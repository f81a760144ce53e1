"""A net that begins as part of another: narrower, with fewer blocks or classes, or with attention the other lacked.

Structured pruning by the scales of batch norms (Liu et al., "Learning Efficient Convolutional Networks through Network
Slimming", ICCV 2017), on channels as they are shared: what a stage hands from block to block is one set of channels,
what is inside a block is its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hanmo.nets.attention import EfficientChannelAttention, SqueezeExcitation
from hanmo.nets.resnet import BasicBlock, ResNet

State = Mapping[str, Tensor]


def can_prune_to(net: nn.Module, given: State) -> bool:
    """Whether ``given`` is the state of a wider or deeper net of ``net``'s kind, a ResNet of basic blocks."""
    if type(net) is not ResNet or not all(isinstance(block, BasicBlock) for block in _blocks(net).values()):
        return False
    own = net.state_dict()
    theirs = {name for name in own if ".attention." not in name}
    drops_attention = any(".attention." in name for name in given) and theirs == own.keys()
    simple_stem = not any(name.startswith(("reduce.", "transformer.")) for name in (*own, *given))
    alike = ("pool.weight" in own) == ("pool.weight" in given) and len(own["fc.bias"]) == len(given.get("fc.bias", ()))
    return (
        theirs <= given.keys()
        and simple_stem
        and alike
        and not drops_attention
        and all(
            own[name].ndim == given[name].ndim
            and all(small <= large for small, large in zip(own[name].shape, given[name].shape, strict=True))
            and own[name].shape[2:] == given[name].shape[2:]
            for name in theirs
        )
    )


@torch.no_grad()
def prune_to(net: ResNet, given: State) -> None:
    """Give ``net`` the strongest channels of the net whose state is ``given`` (see :func:`can_prune_to`).

    A channel's strength is the sum of the squared scales of the norms that write it. Blocks that ``net`` has not are
    left out. Attention that ``given`` lacks, or has of another kind, begins as the identity where its kind can (squeeze
    and excitation, ECA), else as it was initialised.
    """
    own = net.state_dict()
    blocks = _blocks(net)
    chosen: dict[str, Tensor] = {}  # name of a norm -> which of its channels are kept
    stream = torch.zeros(0, dtype=torch.long)
    for stage in range(1, 5):
        writers = [f"{block}.bn2" for block in blocks if block.startswith(f"layer{stage}.")]
        writers += [f"layer{stage}.0.downsample.1"] if f"layer{stage}.0.downsample.1.weight" in own else []
        writers += ["bn1"] if stage == 1 else []
        stream = _strongest([given[f"{writer}.weight"] for writer in writers], len(own[f"{writers[0]}.weight"]))
        chosen |= dict.fromkeys(writers, stream)
    for block in blocks:
        chosen[f"{block}.bn1"] = _strongest([given[f"{block}.bn1.weight"]], len(own[f"{block}.bn1.weight"]))

    def keep(name: str, *channels: Tensor) -> None:
        part = given[name]
        for axis, some in enumerate(channels):
            part = part.index_select(axis, some)
        own[name].copy_(part)

    for norm, channels in chosen.items():
        for name in ("weight", "bias", "running_mean", "running_var"):
            keep(f"{norm}.{name}", channels)
        keep(f"{norm}.num_batches_tracked")
    keep("conv1.weight", chosen["bn1"])
    before = chosen["bn1"]
    for block, module in blocks.items():
        inside, after = chosen[f"{block}.bn1"], chosen[f"{block}.bn2"]
        keep(f"{block}.conv1.weight", inside, before)
        keep(f"{block}.conv2.weight", after, inside)
        if f"{block}.downsample.0.weight" in own:
            keep(f"{block}.downsample.0.weight", after, before)
        _attend(module, f"{block}.attention.", after, given)
        before = after
    own["fc.weight"].copy_(given["fc.weight"][:, stream])
    own["fc.bias"].copy_(given["fc.bias"])
    if "pool.weight" in own:
        keep("pool.weight", stream)


@torch.no_grad()
def select_classes(net: nn.Module, chosen: Tensor) -> None:
    """From now on the net tells only the classes ``chosen`` (C,) apart, in that order: rows of ``fc``."""
    last = net.get_submodule("fc")
    assert isinstance(last, nn.Linear)
    kept = nn.Linear(last.in_features, len(chosen), bias=last.bias is not None)
    kept.weight.copy_(last.weight[chosen])
    if last.bias is not None:
        kept.bias.copy_(last.bias[chosen])
    net.set_submodule("fc", kept)


def _blocks(net: ResNet) -> dict[str, BasicBlock]:
    return {
        f"layer{stage}.{i}": block for stage in range(1, 5) for i, block in enumerate(getattr(net, f"layer{stage}"))
    }


def _strongest(scales: list[Tensor], count: int) -> Tensor:
    strength = sum((scale.square() for scale in scales), torch.zeros(len(scales[0])))
    return strength.argsort(descending=True, stable=True)[:count].sort().values


def _attend(block: BasicBlock, prefix: str, channels: Tensor, given: State) -> None:
    """The block's attention takes what ``given`` has of it for its ``channels``, or begins as the identity."""
    theirs = {name.removeprefix(prefix): part for name, part in given.items() if name.startswith(prefix)}
    if isinstance(block.attention, SqueezeExcitation) and "reduce.weight" in theirs:
        hidden = _strongest([theirs["expand.weight"].flatten(1).norm(dim=0)], len(block.attention.reduce.weight))
        theirs["reduce.weight"] = theirs["reduce.weight"][hidden][:, channels]
        theirs["reduce.bias"] = theirs["reduce.bias"][hidden]
        theirs["expand.weight"] = theirs["expand.weight"][channels][:, hidden]
        theirs["expand.bias"] = theirs["expand.bias"][channels]
    own = block.attention.state_dict()
    if theirs.keys() == own.keys() and all(part.shape == own[name].shape for name, part in theirs.items()):
        block.attention.load_state_dict(theirs)
    elif isinstance(block.attention, SqueezeExcitation | EfficientChannelAttention):
        # Whatever it sees, it now scales by the same factor, which the norm before it makes good.
        factor = block.attention.make_constant()
        block.bn2.weight.div_(factor)
        block.bn2.bias.div_(factor)
