"""What the baselines of MMDetection's model zoo share."""

_base_ = './datasets.py'

custom_imports = dict(imports=['sarl'], allow_failed_imports=False)

resnet50 = dict(
    init_cfg=dict(type='Pretrained', checkpoint='data/pretrained/resnet50-0676ba61.pth')
)

# Whole images at their own resolution; the step of no effect notes the scale.
whole_images = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale_factor=1.0, keep_ratio=True),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]


def on_data_set(data):
    width, height = data.img_scale
    load = [
        dict(type='LoadImageFromFile', backend_args=None),
        dict(type='LoadAnnotations', with_bbox=True),
        # What is larger than the input is cropped, not shrunk. Where there is no object
        # another image would take its place.
        dict(type='RandomCrop', crop_size=(width, height), allow_negative_crop=True),
    ]
    train = [
        *load,
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackDetInputs'),
    ]
    return dict(
        # Of one-stage detectors.
        model=dict(
            bbox_head=dict(num_classes=data.num_classes),
            test_cfg=dict(nms_pre=3000, max_per_img=data.max_per_img),
        ),
        load=load,
        train_dataloader=dict(dataset=dict(**data.train, pipeline=train)),
        val_dataloader=dict(dataset=dict(**data.val, pipeline=whole_images)),
        val_evaluator=dict(_delete_=True, **data.evaluator),
    )


settings = {name: on_data_set(data) for name, data in _base_.settings.items()}

# Where the detector knows ignored regions, what lies in them is no background.
ignoring = dict(assigner=dict(ignore_iof_thr=0.5))
proposals = dict(nms_pre=3000, max_per_img=3000)

sarl = dict(
    _delete_=True,
    type='SARL',
    # Strides 4, 8, 16, 32 of ResNet-50; batches are too small for BN.
    in_channels=[256, 512, 1024, 2048],
    norm_cfg=dict(type='GN', num_groups=32),
)
# For heads that call their loss once a level, and cannot compare sizes over all.
sal_by_level = dict(_delete_=True, type='SAL', normalize=False)
