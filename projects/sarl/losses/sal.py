"""SAL, the Scale-Adaptive Loss.

Reference: Li et al. 2025, arXiv 2511.09891. Its abstract says that SAL "reshapes
the vanilla IoU-based losses so as to dynamically assign lower weights to larger
objects". The functional form, the size variable and the normalisation are our
reconstruction.
"""

import math

import torch
from mmengine.dist import all_reduce
from mmyolo.registry import MODELS
from torch import Tensor, nn

from ..registry import register_model

# Each takes r, an object's size over the reference size, and does not increase.
FORMS = {
    'constant': torch.ones_like,
    'exponential': lambda r: torch.exp(-r),
    'logarithmic': lambda r: 1 / (1 + torch.log1p(r)),
    'power': lambda r: 1 / (1 + r),
    # 3 : 2 : 1 below, around and above the reference
    'step': lambda r: 1 - ((r >= 1).to(r.dtype) + (r >= 2).to(r.dtype)) / 3,
}

# Where an adaptive reference begins, in px.
START = 16.0
# Calls without an update after which its hook must have been forgotten.
MAX_CALLS = 1000


@register_model
class SAL(nn.Module):
    """Weigh an IoU-based box loss so that larger objects count less.

    The weight of an object of size s is `floor + (1 - floor) * form(s / reference)`,
    s being `sqrt(w * h)` of its ground-truth box in pixels of the training image; with
    `measure='area'` the form takes `(s / reference)**2`.

    In heads that hand their loss boxes in pixels, SAL is a drop-in replacement for
    the loss it wraps. A head that divides boxes by the stride has to pass
    `size_weight`, since the boxes alone no longer tell an object's size:
    `SALYOLOv5Head` and the others in `sarl.heads` do. MMDetection's GFL, LD, TOOD,
    RepPoints and CenterNet2, and its FCOS with `norm_on_bbox`, divide too and have no
    such head here. DETR and its kin hand over pixels as `loss_iou` only.

    Args:
        loss (dict): Config of the wrapped loss: any IoU-type loss of MMYOLO or
            MMDetection. It is looked for in the default scope, which a loop of one's
            own sets by `mmengine.registry.init_default_scope`, and without one in
            MMYOLO.
        form (str): 'exponential', 'power', 'logarithmic', 'step' or 'constant'.
        reference (float | str): Size in px that objects are compared with. 'adaptive'
            makes it the geometric mean of the training's positives, a running one that
            is saved and resumed and, in distributed training, equal on all processes.
            It needs `custom_hooks=[dict(type='SALHook')]`.
        floor (float): Weight, in [0, 1], that an infinitely large object keeps.
        normalize (bool): Divide by the mean weight of the positives, so that the
            loss keeps its balance with the other losses. The mean is over one call, of
            one process, weighted by the head's own weights: heads that call their loss
            once a level (MMDetection's ATSS, RetinaNet and RTMDet) need False. In
            `SALYOLOv5Head` and `SALYOLOv7Head` it is over all levels, whose losses are
            means of their own: their sum falls by what coarse levels lose.
        measure (str): 'side' compares sqrt(w * h) with the reference, 'area' w * h
            with its square.
        momentum (float): Share, in (0, 1], of an iteration in the adaptive reference.

    Raises:
        ValueError: If an argument is outside its range.
    """

    def __init__(
        self,
        loss: dict,
        form: str = 'exponential',
        reference: float | str = 16.0,
        floor: float = 0.5,
        normalize: bool = True,
        measure: str = 'side',
        momentum: float = 0.01,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f'SAL has no form {form!r}, only {sorted(FORMS)}')
        adaptive = reference == 'adaptive'
        if not adaptive and not (
            isinstance(reference, int | float)
            and not isinstance(reference, bool)
            and 0 < reference < math.inf
        ):
            raise ValueError(
                f"reference is a size in px, above 0, or 'adaptive', not {reference!r}"
            )
        if measure not in ('side', 'area'):
            raise ValueError(f"measure is 'side' or 'area', not {measure!r}")
        if not 0 < momentum <= 1:
            raise ValueError(f'momentum is a fraction in (0, 1], not {momentum}')
        if not 0 <= floor <= 1:
            raise ValueError(f'floor is a fraction in [0, 1], not {floor}')
        self.loss = MODELS.build(loss)
        self.form = form
        self.adaptive = adaptive
        self.floor = floor
        self.normalize = normalize
        self.measure = measure
        self.momentum = momentum
        if adaptive:
            self.register_buffer('log_reference', torch.tensor(START).log())
            self.register_buffer('num_updates', torch.tensor(0))
            # Sum of log sizes and number of positives since the last update.
            self._seen: Tensor | float = 0.0
            self._calls_to_come = MAX_CALLS
        else:
            self.fixed_reference = float(reference)

    @property
    def reference(self) -> Tensor | float:
        """The reference size in px."""
        return self.log_reference.exp() if self.adaptive else self.fixed_reference

    @torch.no_grad()
    def update(self) -> None:
        """Take the sizes since the last call, of all processes, into the reference.

        Every process has to call it as often; `SALHook` does, after each iteration.
        Without an adaptive reference nothing happens.
        """
        if not self.adaptive:
            return
        seen = self.log_reference.new_zeros(2) + self._seen
        all_reduce(seen)
        self._seen, self._calls_to_come = 0.0, MAX_CALLS
        if seen[1] > 0:
            momentum = self.momentum if self.num_updates else 1.0
            self.log_reference.lerp_(seen[0] / seen[1], momentum)
            self.num_updates += 1

    def _see(self, size: Tensor, counts: Tensor) -> None:
        if self._calls_to_come == 0:
            raise RuntimeError(
                f"SAL's adaptive reference was not updated in {MAX_CALLS} calls. Add "
                f"custom_hooks=[dict(type='SALHook')] to the config."
            )
        self._calls_to_come -= 1
        counted = size[(counts > 0) & (size > 0)].float()
        self._seen = self._seen + torch.stack(
            [counted.log().sum(), counted.new_tensor(len(counted))]
        )

    @torch.no_grad()
    def size_weight(self, size: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the weights of all positives of a batch.

        Args:
            size (Tensor): sqrt(w * h) of each positive's ground truth in px,
                shape (N,).
            weight (Tensor, optional): The head's own weights of the positives,
                shape (N,): ignored ones, of weight 0, do not count in the mean.

        Returns:
            Tensor: Shape (N,), float32 or wider.
        """
        size = size.to(torch.promote_types(size.dtype, torch.float32))
        ratio = size / self.reference
        if self.measure == 'area':
            ratio = ratio**2
        size_weight = self.floor + (1 - self.floor) * FORMS[self.form](ratio)
        counts = torch.ones_like(size_weight) if weight is None else weight
        if self.adaptive and self.training:
            self._see(size, counts)
        if not self.normalize:
            return size_weight
        mean = (size_weight * counts).sum() / counts.sum()
        # Nothing counts, or all objects are so large that each weighs 0: alike.
        return torch.where(mean > 0, size_weight / mean, 1.0)

    def _size(self, target: Tensor) -> Tensor:
        if target.shape[-1] != 4:
            raise ValueError(
                f'SAL measures boxes of 4 numbers, not {target.shape[-1]}: a head of '
                f'rotated boxes has to hand it upright ones (RTMDetRotatedHead with '
                f'use_hbbox_loss=True) or size_weight'
            )
        target = target.to(torch.promote_types(target.dtype, torch.float32))
        if getattr(self.loss, 'bbox_format', 'xyxy') == 'xywh':
            width, height = target[:, 2], target[:, 3]
        else:
            width, height = target[:, 2] - target[:, 0], target[:, 3] - target[:, 1]
        return (width * height).clamp(min=0).sqrt()

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        size_weight: Tensor | None = None,
        **kwargs,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Compute the weighted loss.

        Args:
            pred (Tensor): Decoded boxes, shape (N, 4), in the wrapped loss's format.
            target (Tensor): Ground-truth boxes, shape (N, 4), likewise; in px unless
                `size_weight` is given.
            weight (Tensor, optional): The head's own weights, shape (N,) or (N, 4).
            avg_factor (float, optional): Divides the sum in place of N.
            reduction_override (str, optional): 'none', 'mean' or 'sum'.
            size_weight (Tensor, optional): Weights from `size_weight()`, shape (N,),
                where the boxes are not in px.
            **kwargs: Passed to the wrapped loss.

        Returns:
            Tensor | tuple[Tensor, Tensor]: What the wrapped loss returns: the loss,
            or the loss and the IoU of each pair.
        """
        per_box = weight
        if weight is not None and weight.dim() > 1:
            per_box = weight.mean(-1)
        if size_weight is None:
            size_weight = self.size_weight(self._size(target), per_box)
        # One for each coordinate, which losses that are not summed over a box need.
        total_weight = size_weight.unsqueeze(-1).expand_as(pred)
        if weight is not None:
            total_weight = total_weight * (
                weight if weight.dim() > 1 else weight.unsqueeze(-1)
            )
        if (total_weight == 0).all():
            # Here wrapped losses return a mean over nothing, or drop the IoU.
            return self._without_positives(pred, target, reduction_override, **kwargs)
        return self.loss(
            pred,
            target,
            weight=total_weight,
            avg_factor=avg_factor,
            reduction_override=reduction_override,
            **kwargs,
        )

    def _without_positives(
        self, pred: Tensor, target: Tensor, reduction_override: str | None, **kwargs
    ) -> Tensor | tuple[Tensor, Tensor]:
        unreduced = self.loss(pred, target, reduction_override='none', **kwargs)
        loss, *iou = unreduced if isinstance(unreduced, tuple) else (unreduced,)
        zero = pred.sum() * 0
        if (reduction_override or getattr(self.loss, 'reduction', 'mean')) == 'none':
            zero = zero.expand_as(loss)
        return (zero, *iou) if iou else zero
