"""ATSS for tiny objects."""

_base_ = ['mmdet::atss/atss_r50_fpn_1x_coco.py', './mmdet.py']

model = dict(backbone=_base_.resnet50, train_cfg=_base_.ignoring)

# 16 px at stride 8, where the zoo's smallest is 64 px.
tiny_anchors = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=2)))
sal = dict(
    bbox_head=dict(
        loss_bbox=dict(**_base_.sal_by_level, loss=_base_.model.bbox_head.loss_bbox)
    )
)

custom_hooks = [dict(type='RunRecordHook')]
