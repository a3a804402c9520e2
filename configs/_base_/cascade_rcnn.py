"""Cascade R-CNN for tiny objects, and what data sets change in it."""

_base_ = ['mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', './mmdet.py']

model = dict(
    backbone=_base_.resnet50,
    train_cfg=dict(
        rpn=_base_.ignoring,
        rpn_proposal=_base_.proposals,
        rcnn=[
            dict(stage, assigner=dict(stage.assigner, **_base_.ignoring.assigner))
            for stage in _base_.model.train_cfg.rcnn
        ],
    ),
    test_cfg=dict(rpn=_base_.proposals),
)
settings = {
    name: dict(
        model=dict(
            _delete_=True,
            roi_head=dict(
                bbox_head=[
                    dict(head, num_classes=data.num_classes)
                    for head in _base_.model.roi_head.bbox_head
                ]
            ),
            test_cfg=dict(rcnn=dict(max_per_img=data.max_per_img)),
        )
    )
    for name, data in _base_.settings.items()
}

# 8 px at stride 4, where the zoo's smallest is 32 px.
tiny_anchors = dict(rpn_head=dict(anchor_generator=dict(scales=[2, 8])))

custom_hooks = [dict(type='RunRecordHook')]
