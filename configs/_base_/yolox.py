"""YOLOX-s for tiny objects, and what data sets and other sizes change in it."""

_base_ = ['mmyolo::yolox/yolox_s_fast_8xb8-300e_coco.py', './yolo.py']

max_epochs = 100
mosaic_epochs = max_epochs - _base_.num_last_epochs


def on_data_set(data):
    height = data.img_scale[1]
    mosaic = [
        *data.mosaic,
        dict(
            type='mmdet.RandomAffine',
            # A tenth of the size, as in MMYOLO's s to x, would erase tiny objects.
            scaling_ratio_range=(0.5, 1.5),
            border=data.border,
        ),
    ]
    mixup = dict(
        type='YOLOXMixUp',
        img_scale=data.img_scale,
        ratio_range=_base_.mixup_ratio_range,
        pad_val=114.0,
        pre_transform=data.load,
    )
    pad = dict(
        type='mmdet.Pad', size=data.img_scale, pad_val=dict(img=(114.0, 114.0, 114.0))
    )
    # Colours, flip, filter and packing.
    finish = _base_.train_pipeline_stage1[-4:]
    switch, *other_hooks = _base_.custom_hooks
    resize = dict(
        type='YOLOXBatchSyncRandomResize',
        # Heights: as far around the input as in the base, no smaller than a stride.
        random_size_range=(max(32, height - 160), height + 160),
        size_divisor=32,
        interval=_base_.batch_augments_interval,
    )
    return dict(
        model=dict(
            data_preprocessor=dict(batch_augments=[resize]),
            bbox_head=dict(head_module=dict(num_classes=data.num_classes)),
            # In YOLOX's style there are no caps.
            test_cfg=dict(yolox_style=False, max_per_img=data.max_per_img),
        ),
        train_dataloader=dict(dataset=dict(pipeline=[*mosaic, mixup, *finish])),
        custom_hooks=[
            dict(switch, new_train_pipeline=[*data.load, pad, *finish]),
            *other_hooks,
            dict(type='RunRecordHook'),
        ],
        # As MMYOLO's tiny differs from its s.
        tiny=dict(
            model=_base_.tiny,
            train_dataloader=dict(dataset=dict(pipeline=[*mosaic, *finish])),
        ),
    )


settings = {name: on_data_set(data) for name, data in _base_.settings.items()}

sal = dict(
    bbox_head=dict(
        loss_bbox=dict(_delete_=True, type='SAL', loss=_base_.model.bbox_head.loss_bbox)
    )
)

warm_up, cosine, constant = _base_.param_scheduler
param_scheduler = [
    warm_up,
    dict(cosine, T_max=mosaic_epochs, end=mosaic_epochs),
    dict(constant, begin=mosaic_epochs, end=max_epochs),
]
del warm_up, cosine, constant
# The last checkpoint is what is reported: no test set picks an epoch.
default_hooks = dict(checkpoint=dict(save_best=None))
train_cfg = dict(max_epochs=max_epochs, dynamic_intervals=None)
