"""Structured pruning: initialise a net with the strongest channels of a trained net that is wider or deeper.

The new net may be narrower, have fewer blocks or classes, or have attention or weighted pooling that the trained net
has not.

The strength of a channel comes from the scales of batch norms (Liu et al., "Learning Efficient Convolutional Networks
through Network Slimming", ICCV 2017). Residual blocks of one stage add their outputs, so they must all keep the same
channels: a stage has one set of channels between its blocks, and every block has a set of its own inside.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hanmo.nets.attention import EfficientChannelAttention, SqueezeExcitation
from hanmo.nets.resnet import BasicBlock, ResNet

State = Mapping[str, Tensor]
"""A state dict: name -> tensor."""


def can_prune_to(net: nn.Module, source: State) -> bool:
    """Whether ``source`` is the state of a ResNet of basic blocks from which ``net`` can be pruned.

    ``net`` must be a ResNet of basic blocks, nowhere wider or deeper, with the same stem, input planes, kernel sizes
    and number of classes. Attention and weighted pooling may be added, not dropped. A codebook (pool
    ``bag-of-features``) is refused: its words are in all channels.
    """
    if type(net) is not ResNet or not all(isinstance(block, BasicBlock) for block in _blocks(net).values()):
        return False
    target = net.state_dict()
    # Attention can start as the identity, weighted pooling as the average.
    added = {name for name in target if ".attention." in name or (name == "pool.weight" and name not in source)}
    required = target.keys() - added
    attention_there, attention_here = (any(".attention." in name for name in state) for state in (source, target))
    simple_stem = not any(name.startswith(("reduce.", "transformer.")) for name in (*target, *source))
    drops_pool = "pool.weight" in source and "pool.weight" not in target
    same_pool = not drops_pool and "pool.codebook" not in {*target, *source}
    same_input = target["conv1.weight"].shape[1] == source.get("conv1.weight", target["conv1.weight"]).shape[1]
    same_classes = len(target["fc.bias"]) == len(source.get("fc.bias", ()))
    return (
        required <= source.keys()
        and simple_stem
        and same_pool
        and same_input
        and same_classes
        and (attention_here or not attention_there)
        and all(_is_part_of(target[name], source[name]) for name in required)
    )


def _is_part_of(small: Tensor, large: Tensor) -> bool:
    """Whether no dimension of ``small`` is longer, and those after the channels (kernels, places) are the same."""
    return (
        small.ndim == large.ndim
        and all(s <= t for s, t in zip(small.shape, large.shape, strict=True))
        and small.shape[2:] == large.shape[2:]
    )


@torch.no_grad()
def prune_to(net: ResNet, source: State) -> None:
    """Copy the strongest channels of the state ``source`` into ``net``, in place (see :func:`can_prune_to`).

    The strength of a channel is the sum of the squared scales of the batch norms that write it. Blocks that ``net`` has
    not are left out. Of SE with more hidden units the strongest are kept. Other attention that ``source`` has not in
    the same kind and size starts as the identity where its kind can (SE, ECA), else as it was initialised.
    """
    target = net.state_dict()
    blocks = _blocks(net)
    kept: dict[str, Tensor] = {}  # name of a norm -> indices of its channels that are kept
    stream = torch.zeros(0, dtype=torch.long)  # channels between the blocks of the present stage
    # All norms that write into the same stream must keep the same channels, so their strengths are added.
    for stage in range(1, 5):
        writers = [f"{block}.bn2" for block in blocks if block.startswith(f"layer{stage}.")]
        writers += [f"layer{stage}.0.downsample.1"] if f"layer{stage}.0.downsample.1.weight" in target else []
        writers += ["bn1"] if stage == 1 else []  # the stem's output is the first stage's stream
        stream = _strongest([source[f"{writer}.weight"] for writer in writers], len(target[f"{writers[0]}.weight"]))
        kept |= dict.fromkeys(writers, stream)
    for block in blocks:
        kept[f"{block}.bn1"] = _strongest([source[f"{block}.bn1.weight"]], len(target[f"{block}.bn1.weight"]))

    def keep(name: str, *channels: Tensor) -> None:
        """Copy a tensor, of each of its first axes only the given channels."""
        part = source[name]
        for axis, indices in enumerate(channels):
            part = part.index_select(axis, indices)
        target[name].copy_(part)

    for norm, channels in kept.items():
        for name in ("weight", "bias", "running_mean", "running_var"):
            keep(f"{norm}.{name}", channels)
        keep(f"{norm}.num_batches_tracked")
    keep("conv1.weight", kept["bn1"])
    # In the order of the forward pass: the channels that one block keeps are the inputs of the next.
    inputs = kept["bn1"]
    for block, module in blocks.items():
        inner, outputs = kept[f"{block}.bn1"], kept[f"{block}.bn2"]
        keep(f"{block}.conv1.weight", inner, inputs)
        keep(f"{block}.conv2.weight", outputs, inner)
        if f"{block}.downsample.0.weight" in target:
            keep(f"{block}.downsample.0.weight", outputs, inputs)
        _prune_attention(module, f"{block}.attention.", outputs, source)
        inputs = outputs
    if "bottleneck.weight" in target:
        target["bottleneck.weight"].copy_(source["bottleneck.weight"][:, stream])
        target["fc.weight"].copy_(source["fc.weight"])
    else:
        target["fc.weight"].copy_(source["fc.weight"][:, stream])
    target["fc.bias"].copy_(source["fc.bias"])
    if "pool.weight" in target and "pool.weight" in source:
        keep("pool.weight", stream)


def _blocks(net: ResNet) -> dict[str, BasicBlock]:
    """Name -> block, in the order of the forward pass."""
    return {
        f"layer{stage}.{i}": block for stage in range(1, 5) for i, block in enumerate(getattr(net, f"layer{stage}"))
    }


def _strongest(scales: list[Tensor], count: int) -> Tensor:
    """Indices of the ``count`` strongest channels, ascending. Equally strong ones: the first (a stable sort)."""
    strength = sum((scale.square() for scale in scales), torch.zeros(len(scales[0])))
    return strength.argsort(descending=True, stable=True)[:count].sort().values


def _prune_attention(block: BasicBlock, prefix: str, channels: Tensor, source: State) -> None:
    """Copy the attention of ``source`` for the kept ``channels``, or let the block's attention start as identity."""
    pruned = {name.removeprefix(prefix): part for name, part in source.items() if name.startswith(prefix)}
    if isinstance(block.attention, SqueezeExcitation) and "reduce.weight" in pruned:
        # A hidden unit is as strong as the weights with which it acts on the channels.
        hidden = _strongest([pruned["expand.weight"].flatten(1).norm(dim=0)], len(block.attention.reduce.weight))
        pruned["reduce.weight"] = pruned["reduce.weight"][hidden][:, channels]
        pruned["reduce.bias"] = pruned["reduce.bias"][hidden]
        pruned["expand.weight"] = pruned["expand.weight"][channels][:, hidden]
        pruned["expand.bias"] = pruned["expand.bias"][channels]
    target = block.attention.state_dict()
    if pruned.keys() == target.keys() and all(part.shape == target[name].shape for name, part in pruned.items()):
        block.attention.load_state_dict(pruned)
    elif isinstance(block.attention, SqueezeExcitation | EfficientChannelAttention):
        # The attention now scales every channel by one factor. The norm before it is divided by the same factor, so
        # the block computes what it computed without attention.
        factor = block.attention.make_constant()
        block.bn2.weight.div_(factor)
        block.bn2.bias.div_(factor)
