"""NWD, the normalised Wasserstein distance between boxes, as a loss.

Reference: Wang et al. 2021, arXiv 2110.13389, section 3: boxes as two-dimensional
Gaussians with their centre as mean and a quarter of the squared sides as variances.
"""

import torch
from mmdet.models.losses.utils import weight_reduce_loss
from mmdet.structures.bbox import (
    bbox_cxcywh_to_xyxy,
    bbox_overlaps,
    bbox_xyxy_to_cxcywh,
)
from torch import Tensor, nn

from ..registry import register_model


def wasserstein_similarity(pred: Tensor, target: Tensor, constant: float) -> Tensor:
    """Compute exp(-W2 / constant) of aligned boxes.

    Args:
        pred (Tensor): Boxes as cx, cy, w, h, shape (N, 4).
        target (Tensor): Likewise.
        constant (float): In the boxes' unit.

    Returns:
        Tensor: In (0, 1], shape (N,).
    """
    difference = pred - target
    centre, sides = difference[:, :2], difference[:, 2:] / 2
    squared = centre.square().sum(-1) + sides.square().sum(-1)
    # A square root has no gradient at 0.
    return torch.exp(-(squared + 1e-7).sqrt() / constant)


@register_model
class NWDLoss(nn.Module):
    """One minus NWD, in heads that take an IoU loss.

    Args:
        constant (float): Size that the distance is divided by, in the unit of the boxes
            that the head hands over: px, or strides in YOLOv5, where it then means
            another size on each level. The reference uses the data set's mean size.
        bbox_format (str): 'xyxy' or 'xywh' (centre and sides).
        return_iou (bool): Return the plain IoU too, as YOLOv5's objectness needs.
        reduction (str): 'none', 'mean' or 'sum'.
        loss_weight (float): Factor of the loss.
    """

    def __init__(
        self,
        constant: float,
        bbox_format: str = 'xyxy',
        return_iou: bool = False,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.constant = constant
        self.bbox_format = bbox_format
        self.return_iou = return_iou
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Compute the loss.

        Args:
            pred (Tensor): Boxes, shape (N, 4).
            target (Tensor): Ground truth, likewise.
            weight (Tensor, optional): Shape (N,) or (N, 4).
            avg_factor (float, optional): Divides the sum in place of N.
            reduction_override (str, optional): In place of `reduction`.

        Returns:
            Tensor | tuple[Tensor, Tensor]: The loss, and the IoU of each pair if
            `return_iou`.
        """
        if self.bbox_format == 'xyxy':
            corners = pred, target
            pred, target = bbox_xyxy_to_cxcywh(pred), bbox_xyxy_to_cxcywh(target)
        else:
            corners = bbox_cxcywh_to_xyxy(pred), bbox_cxcywh_to_xyxy(target)
        if weight is not None and weight.dim() > 1:
            weight = weight.mean(-1)
        loss = self.loss_weight * weight_reduce_loss(
            1 - wasserstein_similarity(pred, target, self.constant),
            weight,
            reduction_override or self.reduction,
            avg_factor,
        )
        if not self.return_iou:
            return loss
        return loss, bbox_overlaps(*corners, is_aligned=True)
