"""FCOS for tiny objects."""

_base_ = ['mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', './mmdet.py']

model = dict(
    # The other detectors' backbone, in place of Caffe's with its own weights.
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        style='pytorch', norm_cfg=dict(requires_grad=True), **_base_.resnet50
    ),
)

sal = dict(
    bbox_head=dict(
        loss_bbox=dict(_delete_=True, type='SAL', loss=_base_.model.bbox_head.loss_bbox)
    )
)

custom_hooks = [dict(type='RunRecordHook')]
