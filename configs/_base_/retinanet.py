"""RetinaNet for tiny objects."""

_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', './mmdet.py']

model = dict(backbone=_base_.resnet50, train_cfg=_base_.ignoring)

# 8, 10 and 13 px at stride 8, where the zoo's smallest is 32 px.
tiny_anchors = dict(bbox_head=dict(anchor_generator=dict(octave_base_scale=1)))

custom_hooks = [dict(type='RunRecordHook')]
