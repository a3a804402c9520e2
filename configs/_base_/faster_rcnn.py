"""Faster R-CNN for tiny objects, and what data sets change in it."""

_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', './mmdet.py']

model = dict(
    backbone=_base_.resnet50,
    train_cfg=dict(
        rpn=_base_.ignoring, rpn_proposal=_base_.proposals, rcnn=_base_.ignoring
    ),
    test_cfg=dict(rpn=_base_.proposals),
)
settings = {
    name: dict(
        model=dict(
            _delete_=True,
            roi_head=dict(bbox_head=dict(num_classes=data.num_classes)),
            test_cfg=dict(rcnn=dict(max_per_img=data.max_per_img)),
        )
    )
    for name, data in _base_.settings.items()
}

# 8 px at stride 4, where the zoo's smallest is 32 px.
tiny_anchors = dict(rpn_head=dict(anchor_generator=dict(scales=[2, 8])))
# As in the zoo's faster-rcnn_r50_fpn_giou_1x_coco.py: SAL weighs losses of boxes.
giou = dict(type='GIoULoss', loss_weight=10.0)
giou_head = dict(roi_head=dict(bbox_head=dict(reg_decoded_bbox=True, loss_bbox=giou)))
sal = dict(
    roi_head=dict(bbox_head=dict(loss_bbox=dict(_delete_=True, type='SAL', loss=giou)))
)

custom_hooks = [dict(type='RunRecordHook')]
