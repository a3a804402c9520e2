_base_ = 'mmyolo::yolov5/yolov5_s-v61_syncbn_fast_8xb16-300e_coco.py'

custom_imports = dict(imports=['sarl'], allow_failed_imports=False)

data_root = 'data/AI-TOD/'
num_classes = 8
img_scale = (800, 800)  # width, height
max_epochs = 100
save_checkpoint_intervals = 5

# COCO's anchors start at 10 x 13 px, and an anchor takes objects from a quarter to
# four times its size: these start at 1.25 px.
anchors = [
    [(5, 5), (8, 12), (13, 8)],  # P3/8
    [(14, 14), (20, 28), (32, 18)],  # P4/16
    [(36, 36), (48, 80), (96, 60)],  # P5/32
]

model = dict(
    bbox_head=dict(
        head_module=dict(num_classes=num_classes),
        prior_generator=dict(base_sizes=anchors),
        # A child config does not recompute its base's arithmetic.
        loss_cls=dict(loss_weight=_base_.loss_cls_weight * num_classes / 80),
        loss_obj=dict(loss_weight=_base_.loss_obj_weight * (img_scale[0] / 640) ** 2),
    ),
    # AI-TOD images hold up to 2,667 objects; its metric counts 1500 detections.
    test_cfg=dict(nms_pre=3000, max_per_img=1500),
)

train_pipeline = [
    *_base_.pre_transform,
    dict(
        type='Mosaic',
        img_scale=img_scale,
        pad_val=114.0,
        pre_transform=_base_.pre_transform,
    ),
    dict(
        type='YOLOv5RandomAffine',
        max_rotate_degree=0.0,
        max_shear_degree=0.0,
        scaling_ratio_range=(1 - _base_.affine_scale, 1 + _base_.affine_scale),
        border=(-img_scale[0] // 2, -img_scale[1] // 2),
        border_val=(114, 114, 114),
        # The default drops what is 2 px wide or less after scaling.
        min_bbox_size=0,
    ),
    dict(type='YOLOv5HSVRandomAug'),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=(
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'flip',
            'flip_direction',
        ),
    ),
]

# At their own resolution, padded to a multiple of the largest stride.
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(
        type='LetterResize',
        scale=(4096, 4096),
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

train_dataloader = dict(
    # Inheriting from another package marks every dict with its scope, which this
    # function does not take.
    collate_fn=dict(_delete_=True, type='yolov5_collate'),
    dataset=dict(
        type='AITODDataset',
        data_root=data_root,
        ann_file='annotations/aitod_trainval_v1.json',
        data_prefix=dict(img='trainval/images/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='AITODDataset',
        data_root=data_root,
        ann_file='annotations/aitod_test_v1.json',
        data_prefix=dict(img='test/images/'),
        pipeline=test_pipeline,
        batch_shapes_cfg=None,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(
    _delete_=True,
    type='AITODMetric',
    ann_file=data_root + 'annotations/aitod_test_v1.json',
)
test_evaluator = val_evaluator

default_hooks = dict(
    param_scheduler=dict(max_epochs=max_epochs),
    checkpoint=dict(interval=save_checkpoint_intervals, save_best='aitod/AP'),
)
train_cfg = dict(max_epochs=max_epochs, val_interval=save_checkpoint_intervals)
