"""Methods that compare inner features: the student's layer i with the teacher's layer i.

In the formulas s_i and t_i are the features of layer i of student and teacher.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import STAGES, Layered, in_float32, pooled, same_size, total
from hanmo.distill.method import register_method
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def attention_map(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H·W): the mean of squares over channels, scaled to unit length."""
    # Squares, because an activation matters by its size, not its sign. Unit length, because two nets have activations
    # of different scale, and only the distribution over places should be compared.
    return F.normalize(features.float().square().mean(1).flatten(1), dim=-1)


def at_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of the attention maps of two feature maps (N, C, H, W).

    Channels may differ; of different sizes the larger map is averaged down.
    """
    student, teacher = same_size(student.float(), teacher.float())
    return (attention_map(student) - attention_map(teacher)).square().mean()


@in_float32
def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared maximum mean discrepancy (MMD²) of two maps (N, C, H, W), mean over pictures; channels are the samples.

    A sample is a channel as a vector of its H·W places at unit length; the kernel is k(x, y) = (x·y)².
    """
    # The mean of (x·y)² over all pairs of channels is the dot product of the two second moments, mean of x xᵀ and mean
    # of y yᵀ. So MMD² is the squared distance of two (H·W, H·W) matrices; no (C, C) kernel matrices are needed.
    student, teacher = same_size(student, teacher)

    def moments(features: Tensor) -> Tensor:
        # (N, C, H·W); unit length, so that strongly active channels do not outweigh the others.
        channels = F.normalize(features.flatten(2), dim=2)
        return torch.einsum("ncp,ncq->npq", channels, channels) / channels.shape[1]

    return (moments(student) - moments(teacher)).square().sum((1, 2)).mean()


@in_float32
def flow(first: Tensor, second: Tensor) -> Tensor:
    """The FSP matrix of two maps of one net: (N, C, H, W), (N, D, H', W') -> (N, C, D).

    Entry (c, d) is the mean over places of channel c times channel d.
    """
    first, second = same_size(first, second)
    # A mean, not a sum, so that matrices of maps of different sizes are comparable.
    return torch.einsum("nchw,ndhw->ncd", first, second) / (first.shape[2] * first.shape[3])


def pkd_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of vectors (N, C) at unit length."""
    return F.mse_loss(F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1))


@register_method("at")
class AttentionTransfer(Layered):
    """AT: the student's attention maps match the teacher's.

    Loss: ``sum_i mean((A(s_i) - A(t_i))²)``; A is the attention map of a layer (:func:`attention_map`).

    Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017: weight 1000.
    """

    weight = 1000.0

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return total([at_loss(s, t) for s, t in self.pairs(student, teacher)])


@register_method("fitnet")
class FitNet(Layered):
    """FitNets: a connector predicts the teacher's map (the hint) from the student's, in the middle of the net.

    Loss: ``sum_i mean((r_i(s_i) - t_i)²)``; r_i is a 1x1 convolution with batch norm, trained with the student.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015. In the paper the hint is a separate stage before KD;
    here it is trained together with the rest. Weight 100 and layer are those of RepDistiller and mdistiller.
    """

    weight = 100.0

    def __init__(self, *, layers: tuple[str, ...] = ("layer2",), teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        for s, t in self.pairs(student, teacher):
            channels = t.shape[1]
            # 1x1: it mixes channels but moves nothing. The norm lets it reach the scale of the teacher's features.
            conv = nn.Conv2d(s.shape[1], channels, 1, bias=False)
            self.connectors.append(nn.Sequential(conv, nn.BatchNorm2d(channels)))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses = []
        for connector, pair in zip(self.connectors, self.pairs(student, teacher), strict=True):
            s, t = same_size(*pair)
            losses.append(F.mse_loss(connector(s).float(), t.float()))
        return total(losses)


@register_method("nst")
class NeuronSelectivityTransfer(Layered):
    """NST: the channels of the student are active at the same places as those of the teacher, as a distribution.

    Loss: ``sum_i MMD²(s_i, t_i)``, the maximum mean discrepancy between the channels of both (:func:`nst_loss`).

    Huang, Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, with the polynomial
    kernel (degree 2, no constant), as in RepDistiller and mdistiller; the weight 50 is theirs too.
    """

    weight = 50.0

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return total([nst_loss(s, t) for s, t in self.pairs(student, teacher)])


@register_method("fsp")
class FlowOfSolutionProcedure(Layered):
    """FSP (flow of the solution procedure): the student's step from each layer to the next matches the teacher's.

    Loss: ``sum_i mean((G(r_i(s_i), r_j(s_j)) - G(t_i, t_j))²)`` with j = i + 1; G is the FSP matrix of two layers
    (:func:`flow`), r_i the identity, or a 1x1 convolution where student and teacher have different channels.

    Yim et al., "A Gift from Knowledge Distillation", CVPR 2017. In the paper it pretrains the student, and both nets
    have the same channels; here it is trained together with the rest. Weight 50 as in RepDistiller.
    """

    weight = 50.0

    def __init__(self, *, layers: tuple[str, ...] = STAGES, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        if len(layers) < 2:
            raise ConfigError(f"{self.name}: one layer has no flow to another; name at least two")
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        for s, t in self.pairs(student, teacher):
            same = s.shape[1] == t.shape[1]
            # No connector where channels agree: it could learn to explain a difference away.
            self.connectors.append(nn.Identity() if same else nn.Conv2d(s.shape[1], t.shape[1], 1, bias=False))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        pairs = self.pairs(student, teacher)
        # All maps first, since every inner layer takes part in two steps: from the one before and to the one after.
        s = [connector(s) for connector, (s, _) in zip(self.connectors, pairs, strict=True)]
        t = [t for _, t in pairs]
        return total([F.mse_loss(flow(s[i], s[i + 1]), flow(t[i], t[i + 1])) for i in range(len(pairs) - 1)])


@register_method("pkd")
class PatientKD(Layered):
    """PKD: pooled features of several layers have the same direction as the teacher's.

    Loss: ``sum_i mean((r_i(s_i)/|r_i(s_i)| - t_i/|t_i|)²)``; s_i and t_i are pooled to vectors, r_i is the identity, or
    a linear layer where the widths differ.

    Sun et al., "Patient Knowledge Distillation for BERT Model Compression", EMNLP 2019. The paper takes the features
    of the first token; here those of a map are the averages of its channels. The paper chooses the weight among 10,
    100, 500 and 1000 for each task.
    """

    weight = 100.0

    def __init__(self, *, layers: tuple[str, ...] = STAGES, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)
        for s, t in self.pairs(student, teacher):
            inputs, outputs = pooled(s).shape[1], pooled(t).shape[1]
            self.connectors.append(nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        pairs = zip(self.connectors, self.pairs(student, teacher), strict=True)
        return total([pkd_loss(connector(pooled(s)), pooled(t)) for connector, (s, t) in pairs])
