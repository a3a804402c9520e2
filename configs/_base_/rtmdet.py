"""RTMDet-s for tiny objects, and what data sets change in it."""

_base_ = ['mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py', './mmdet.py']

max_epochs = 100
last_epochs = _base_.stage2_num_epochs  # without mosaic and mixup

# The zoo's SyncBN needs GPUs; `sync_bn` makes it of BN where there are several.
norm = dict(norm_cfg=dict(type='BN'))
sync_bn = 'torch'
model = dict(
    # Whole images have any size.
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(
        init_cfg=dict(checkpoint='data/pretrained/cspnext-s_imagenet_600e.pth'), **norm
    ),
    neck=norm,
    bbox_head=norm,
)


def on_data_set(data):
    width, height = data.img_scale
    pad = (114, 114, 114)
    # Half to twice the size.
    mosaic = [
        dict(type='CachedMosaic', img_scale=(width, height), pad_val=114.0),
        dict(
            type='RandomResize',
            scale=(2 * width, 2 * height),
            ratio_range=(0.5, 2.0),
            keep_ratio=True,
        ),
    ]
    resize = dict(
        type='RandomResize',
        scale=(width, height),
        ratio_range=(0.5, 2.0),
        keep_ratio=True,
    )
    augment = [
        dict(type='RandomCrop', crop_size=(width, height), allow_negative_crop=True),
        dict(type='YOLOXHSVRandomAug'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='Pad', size=(width, height), pad_val=dict(img=pad)),
    ]
    mixup = dict(
        type='CachedMixUp',
        img_scale=(width, height),
        ratio_range=(1.0, 1.0),
        max_cached_images=20,
        pad_val=pad,
    )
    pack = dict(type='PackDetInputs')
    average, switch = _base_.custom_hooks
    return dict(
        # As shipped: several cells agree on an object.
        model=dict(test_cfg=dict(nms_pre=_base_.model.test_cfg.nms_pre)),
        train_dataloader=dict(
            dataset=dict(pipeline=[*data.load, *mosaic, *augment, mixup, pack])
        ),
        custom_hooks=[
            average,
            dict(
                switch,
                switch_epoch=max_epochs - last_epochs,
                switch_pipeline=[*data.load, resize, *augment, pack],
            ),
            dict(type='RunRecordHook'),
        ],
    )


settings = {name: on_data_set(data) for name, data in _base_.settings.items()}

sarl = dict(
    in_channels=[64, *_base_.model.neck.in_channels],
    norm_cfg=dict(_delete_=True, type='BN'),
)
sal = dict(
    bbox_head=dict(
        loss_bbox=dict(**_base_.sal_by_level, loss=_base_.model.bbox_head.loss_bbox)
    )
)

warm_up, cosine = _base_.param_scheduler
half = max_epochs // 2
param_scheduler = [
    # As YOLOX's: COCO's 1000 iterations would be 38 epochs of VisDrone.
    dict(warm_up, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(cosine, begin=half, end=max_epochs, T_max=half),
]
del warm_up, cosine, half
train_cfg = dict(max_epochs=max_epochs, dynamic_intervals=None)
# The zoo's 16 is not RTMDet's.
auto_scale_lr = dict(base_batch_size=8 * _base_.train_dataloader.batch_size)
