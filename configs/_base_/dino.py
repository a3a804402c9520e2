"""DINO for tiny objects, and what data sets change in it."""

_base_ = ['mmdet::dino/dino-4scale_r50_8xb2-12e_coco.py', './mmdet.py']

model = dict(
    # Every detection is a query's: 900 would cap AI-TOD's fullest images.
    num_queries=1500,
    backbone=_base_.resnet50,
)
settings = {
    name: dict(model=dict(test_cfg=dict(_delete_=True, max_per_img=data.max_per_img)))
    for name, data in _base_.settings.items()
}

custom_hooks = [dict(type='RunRecordHook')]
