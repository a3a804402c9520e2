"""Heads of MMYOLO that divide boxes by the stride, for SAL.

`YOLOv6Head`, `YOLOv8Head` and `PPYOLOEHead` hand their box loss the boxes of all levels
at once, each divided by the stride of its level; `YOLOv7Head` hands it one level after
the other in grid units. Neither tells the stride. Their assigners, just before, have
the ground truth of every positive in pixels: it is read off there.
"""

from typing import Any

import torch
from mmyolo.models.dense_heads import PPYOLOEHead, YOLOv6Head, YOLOv7Head, YOLOv8Head
from torch import Tensor, nn

from ..losses import SAL
from ..registry import register_model


class _SizesFromAssigner:
    """Hand SAL the weights that belong to the assigner's ground truth."""

    def special_init(self) -> None:
        """Check the box loss, beside what the parent checks."""
        super().special_init()
        if not isinstance(self.loss_bbox, SAL):
            ours, parents = type(self).__name__, type(self).__mro__
            plain = parents[parents.index(_SizesFromAssigner) + 1].__name__
            raise ValueError(
                f'{ours} needs loss_bbox=dict(type="SAL", loss=...), not '
                f'{type(self.loss_bbox).__name__}; use {plain} for a plain loss'
            )

    def loss_by_feat(self, *args, **kwargs) -> dict[str, Tensor]:
        """Compute the losses of a batch, see the parent."""
        # What belongs to each call of the loss that is to come.
        waiting: list[Tensor] = []

        def remember(module: nn.Module, inputs: tuple, assigned: dict) -> None:
            waiting[:] = self._sizes(inputs, assigned)

        def tell(module: SAL, inputs: tuple, kwargs: dict[str, Any]) -> tuple:
            return inputs, kwargs | dict(size_weight=self._weight(waiting, kwargs))

        hooks = [
            getattr(self, name).register_forward_hook(remember)
            for name in ('initial_assigner', 'assigner')
            if hasattr(self, name)
        ]
        hooks.append(self.loss_bbox.register_forward_pre_hook(tell, with_kwargs=True))
        try:
            return super().loss_by_feat(*args, **kwargs)
        finally:
            for hook in hooks:
                hook.remove()

    def _sizes(self, inputs: tuple, assigned: dict) -> list[Tensor]:
        boxes = assigned['assigned_bboxes'][assigned['fg_mask_pre_prior'].bool()]
        return [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1).sqrt()]

    def _weight(self, waiting: list[Tensor], kwargs: dict[str, Any]) -> Tensor:
        return self.loss_bbox.size_weight(waiting[0], kwargs['weight'].mean(-1))


@register_model
class SALYOLOv6Head(_SizesFromAssigner, YOLOv6Head):
    """`YOLOv6Head` whose box loss is SAL; arguments as there.

    Raises:
        ValueError: If `loss_bbox` is not a SAL.
    """


@register_model
class SALYOLOv8Head(_SizesFromAssigner, YOLOv8Head):
    """`YOLOv8Head` whose box loss is SAL; arguments as there.

    Raises:
        ValueError: If `loss_bbox` is not a SAL.
    """


@register_model
class SALPPYOLOEHead(_SizesFromAssigner, PPYOLOEHead):
    """`PPYOLOEHead` whose box loss is SAL; arguments as there.

    Raises:
        ValueError: If `loss_bbox` is not a SAL.
    """


@register_model
class SALYOLOv7Head(_SizesFromAssigner, YOLOv7Head):
    """`YOLOv7Head` whose box loss is SAL; arguments as there.

    The positives of all levels are weighed together.

    Raises:
        ValueError: If `loss_bbox` is not a SAL.
    """

    def _sizes(self, inputs: tuple, assigned: dict) -> list[Tensor]:
        height, width = inputs[2]
        levels = [
            (targets[:, 4] * width * targets[:, 5] * height).sqrt()
            for targets in assigned['mlvl_targets_normed']
            # The head passes over levels without positives, whose targets have no sizes
            # where no level has any.
            if len(targets)
        ]
        if not levels:
            return []
        weights = self.loss_bbox.size_weight(torch.cat(levels))
        return list(weights.split([len(sizes) for sizes in levels]))

    def _weight(self, waiting: list[Tensor], kwargs: dict[str, Any]) -> Tensor:
        return waiting.pop(0)
