"""YOLOv5's head for SAL: it tells the loss how large each object is.

MMYOLO's `YOLOv5Head` calls its box loss once a level, with boxes in grid units
(pixels / stride) and without the stride, so a loss cannot know an object's size
in pixels there. This head assigns all levels first, weighs all positives of the
batch together and only then computes the losses. With a constant weight it gives
the losses and gradients of `YOLOv5Head`, but where regions are ignored: that head
leaves a prior out in one image of the batch only, whichever has the region that
covers it most, and sums its class loss over the classes that it averages over in
batches without regions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.dist import get_dist_info
from mmengine.structures import InstanceData
from mmyolo.models.dense_heads import YOLOv5Head
from torch import Tensor

from ..losses import SAL
from ..registry import register_model


class Positives(NamedTuple):
    """The positive predictions of one level, P of them."""

    image: Tensor  # (P,) index in the batch
    prior: Tensor  # (P,) index of the anchor
    y: Tensor  # (P,) row of the cell
    x: Tensor  # (P,) column of the cell
    label: Tensor  # (P,) class index
    box: Tensor  # (P, 4) cell-relative cx, cy and w, h, in grid units
    size: Tensor  # (P,) sqrt(w * h) of the object in px of the training image

    @property
    def index(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where they stand in a tensor of shape (B, A, H, W)."""
        return self.image, self.prior, self.y, self.x


def _weighted_mean(weight: Tensor) -> dict[str, Tensor]:
    """Arguments that make a loss the mean over what has weight."""
    return dict(weight=weight, avg_factor=weight.sum().clamp(min=1))


@register_model
class SALYOLOv5Head(YOLOv5Head):
    """`YOLOv5Head` whose box loss is SAL.

    Args:
        **kwargs: Those of MMYOLO's `YOLOv5Head`; `loss_bbox` must be a SAL around
            a loss that returns the IoU too (`return_iou=True`).

    Raises:
        ValueError: If `loss_bbox` is anything else.
    """

    def special_init(self) -> None:
        """Check the losses, beside what the parent checks."""
        super().special_init()
        if not isinstance(self.loss_bbox, SAL):
            raise ValueError(
                f'SALYOLOv5Head needs loss_bbox=dict(type="SAL", loss=...), not '
                f'{type(self.loss_bbox).__name__}; use YOLOv5Head for a plain loss'
            )
        if not getattr(self.loss_bbox.loss, 'return_iou', False):
            raise ValueError(
                'SALYOLOv5Head needs the IoU for its objectness targets: give the '
                'loss in SAL return_iou=True'
            )

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        objectnesses: Sequence[Tensor],
        batch_gt_instances: Sequence[InstanceData] | Tensor,
        batch_img_metas: Sequence[dict],
        batch_gt_instances_ignore: Sequence[InstanceData] | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            cls_scores (Sequence[Tensor]): A level each, (B, A * classes, H, W).
            bbox_preds (Sequence[Tensor]): A level each, (B, A * 4, H, W).
            objectnesses (Sequence[Tensor]): A level each, (B, A, H, W).
            batch_gt_instances (Sequence[InstanceData] | Tensor): Ground truth, an
                image each, or from `yolov5_collate` a tensor (N, 6) of image index,
                label, x1, y1, x2, y2 in px. It is left as it is.
            batch_img_metas (Sequence[dict]): Holds `batch_input_shape`.
            batch_gt_instances_ignore (Sequence[InstanceData], optional): Regions
                whose priors give no loss, if `ignore_iof_thr` is set.

        Returns:
            dict[str, Tensor]: `loss_cls`, `loss_obj` and `loss_bbox`.
        """
        if isinstance(batch_gt_instances, Tensor):
            batch_gt_instances = batch_gt_instances.clone()
        targets = self._convert_gt_to_norm_format(batch_gt_instances, batch_img_metas)
        height, width = batch_img_metas[0]['batch_input_shape']
        sizes = (targets[..., 4] * width * targets[..., 5] * height).sqrt()

        levels = [
            self._assign(level, targets, sizes, pred.shape[-2:])
            for level, pred in enumerate(bbox_preds)
        ]
        # Nothing to average by hand unless regions may be ignored.
        over_priors = over_positives = [{}] * self.num_levels
        keeps = self._not_ignored(objectnesses, batch_gt_instances_ignore)
        if keeps is not None:
            over_priors = [_weighted_mean(keep) for keep in keeps]
            over_positives = [
                _weighted_mean(keep[positives.index])
                for keep, positives in zip(keeps, levels, strict=True)
            ]
        size_weights = self.loss_bbox.size_weight(
            torch.cat([positives.size for positives in levels]),
            None if keeps is None else torch.cat([w['weight'] for w in over_positives]),
        ).split([len(positives.size) for positives in levels])

        loss_cls = loss_box = loss_obj = 0
        for level, positives in enumerate(levels):
            batch_size, _, h, w = bbox_preds[level].shape
            predictions = (batch_size, self.num_base_priors, -1, h, w)
            image, prior, y, x = positives.index
            box_pred = bbox_preds[level].reshape(predictions)[image, prior, :, y, x]
            cls_pred = cls_scores[level].reshape(predictions)[image, prior, :, y, x]

            level_box, iou = self.loss_bbox(
                self._decode_bbox_to_xywh(
                    box_pred, self.priors_base_sizes[level][prior]
                ),
                positives.box,
                size_weight=size_weights[level],
                **over_positives[level],
            )
            loss_box = loss_box + level_box

            target_obj = torch.zeros_like(objectnesses[level])
            target_obj[positives.index] = iou.detach().clamp(0).to(target_obj.dtype)
            level_obj = self.loss_obj(
                objectnesses[level], target_obj, **over_priors[level]
            )
            loss_obj = loss_obj + level_obj * self.obj_level_weights[level]

            if self.num_classes > 1 and len(image) > 0:
                loss_cls = loss_cls + self._class_loss(
                    cls_pred, positives.label, **over_positives[level]
                )

        # Every prediction must get a gradient, if of zero: distributed training
        # waits for those that get none.
        untouched = sum(p.sum() * 0 for p in (*bbox_preds, *cls_scores))
        _, world_size = get_dist_info()
        scale = len(bbox_preds[0]) * world_size
        return dict(
            loss_cls=loss_cls * scale + untouched,
            loss_obj=loss_obj * scale,
            loss_bbox=loss_box * scale,
        )

    def _class_loss(
        self,
        cls_pred: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | None = None,
    ) -> Tensor:
        one_hot = torch.zeros_like(cls_pred).scatter_(1, label[:, None], 1)
        if weight is not None:
            # Over positives and classes, as the mean without weights is.
            weight = weight[:, None].expand_as(one_hot)
            avg_factor = avg_factor * self.num_classes
        return self.loss_cls(cls_pred, one_hot, weight=weight, avg_factor=avg_factor)

    def _assign(
        self, level: int, targets: Tensor, sizes: Tensor, grid: Sequence[int]
    ) -> Positives:
        """Find the positives of one level (YOLOv5's shape match and neighbours).

        Args:
            level (int): Index of the level.
            targets (Tensor): (A, N, 7) of image index, label, cx, cy, w, h as
                fractions of the image, and anchor index.
            sizes (Tensor): (A, N) sizes in px.
            grid (Sequence[int]): Height and width of the level in cells.
        """
        h, w = grid
        centre_size = targets[..., 2:6] * targets.new_tensor([w, h, w, h])
        # (A, N, 2): how much larger or smaller than the anchor
        ratio = centre_size[..., 2:] / self.priors_base_sizes[level][:, None]
        match = torch.maximum(ratio, 1 / ratio).amax(-1) < self.prior_match_thr
        matched, centre_size, size = targets[match], centre_size[match], sizes[match]

        # An object is a positive of its own cell and of the nearer neighbour cell
        # in each direction, if there is one.
        centre = centre_size[:, :2]
        from_end = centre.new_tensor([w, h]) - centre
        before = (centre % 1 < self.near_neighbor_thr) & (centre > 1)
        after = (from_end % 1 < self.near_neighbor_thr) & (from_end > 1)
        # (5, M): own cell, left, up, right, bottom, in the order of grid_offset
        chosen = torch.cat([torch.ones_like(before[:, :1]), before, after], dim=1).T
        offset_index, target_index = chosen.nonzero(as_tuple=True)
        offset = self.grid_offset[offset_index, 0] * self.near_neighbor_thr
        centre_size, matched = centre_size[target_index], matched[target_index]
        cell = (centre_size[:, :2] - offset).long()
        return Positives(
            image=matched[:, 0].long(),
            prior=matched[:, 6].long(),
            y=cell[:, 1],
            x=cell[:, 0],
            label=matched[:, 1].long(),
            box=torch.cat([centre_size[:, :2] - cell, centre_size[:, 2:]], dim=1),
            size=size[target_index],
        )

    def _not_ignored(
        self,
        objectnesses: Sequence[Tensor],
        batch_gt_instances_ignore: Sequence[InstanceData] | None,
    ) -> list[Tensor] | None:
        """Mark the priors that count, by ones in a (B, A, H, W) a level.

        None if no regions are ignored.
        """
        if self.ignore_iof_thr == -1:
            return None
        if batch_gt_instances_ignore is None:
            raise ValueError(
                f'ignore_iof_thr={self.ignore_iof_thr} needs the ignored regions, '
                f'which yolov5_collate drops: use mmdet.DetDataPreprocessor and the '
                f'default collate_fn, or ignore_iof_thr=-1'
            )
        grids = [objectness.shape[-2:] for objectness in objectnesses]
        # In the precision of the boxes, whatever that of the predictions.
        boxes = batch_gt_instances_ignore[0].bboxes
        mlvl_priors = self.prior_generator.grid_priors(
            grids, dtype=boxes.dtype, device=boxes.device
        )
        # float32 whatever the autocast: bfloat16 cannot count them
        keeps = [torch.ones_like(o, dtype=torch.float32) for o in objectnesses]
        for image, ignored in enumerate(batch_gt_instances_ignore):
            if len(ignored) == 0:
                continue
            for keep, priors, grid in zip(keeps, mlvl_priors, grids, strict=True):
                iof = bbox_overlaps(priors, ignored.bboxes, 'iof').amax(dim=1)
                counts = (iof <= self.ignore_iof_thr).view(*grid, self.num_base_priors)
                keep[image] = counts.permute(2, 0, 1)
        return keeps
