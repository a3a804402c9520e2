"""What YOLOv5 and YOLOX share."""

_base_ = './datasets.py'

custom_imports = dict(imports=['sarl'], allow_failed_imports=False)

# Whole images at their own resolution, padded to a multiple of the largest stride: what
# OpenCV reads is no larger than this scale.
whole_images = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(
        type='LetterResize',
        scale=(1048576, 1048576),
        allow_scale_up=False,
        use_mini_pad=True,
        pad_val=dict(img=114),
    ),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'pad_param',
        ),
    ),
]


def on_data_set(data):
    width, height = data.img_scale
    load = [
        dict(type='LoadImageFromFile', backend_args=None),
        # Unlike MMYOLO's own, it keeps ignored regions.
        dict(type='mmdet.LoadAnnotations', with_bbox=True),
        # What is larger than the input is cropped, not shrunk.
        dict(
            type='mmdet.RandomCrop', crop_size=(width, height), allow_negative_crop=True
        ),
    ]
    mosaic = dict(
        type='Mosaic', img_scale=(width, height), pad_val=114.0, pre_transform=load
    )
    return dict(
        load=load,
        mosaic=[*load, mosaic],
        # What the affine transform cuts off around a mosaic.
        border=(-width // 2, -height // 2),
        train_dataloader=dict(
            # Inheriting from another package marks every dict with its scope, which
            # this function does not take.
            collate_fn=dict(_delete_=True, type='yolov5_collate'),
            dataset=data.train,
        ),
        val_dataloader=dict(
            dataset=dict(**data.val, pipeline=whole_images, batch_shapes_cfg=None)
        ),
        val_evaluator=dict(_delete_=True, **data.evaluator),
    )


settings = {name: on_data_set(data) for name, data in _base_.settings.items()}


def factors(widen, deepen):
    scaled = dict(widen_factor=widen, deepen_factor=deepen)
    head = dict(head_module=dict(widen_factor=widen))
    return dict(backbone=scaled, neck=scaled, bbox_head=head)


n = factors(widen=0.25, deepen=0.33)
tiny = factors(widen=0.375, deepen=0.33)
m = factors(widen=0.75, deepen=0.67)
l = factors(widen=1.0, deepen=1.0)  # noqa: E741
x = factors(widen=1.25, deepen=1.33)

sarl = dict(
    # Strides 4, 8, 16, 32: the first one only gives.
    backbone=dict(out_indices=(1, 2, 3, 4)),
    neck=dict(_delete_=True, type='SARL', in_channels=[128, 256, 512, 1024]),
)
