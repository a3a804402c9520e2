# The embedded scenes of `make demo`: trained for minutes, on two CPU cores.
_base_ = './yolov5_n-v61_8xb16-100e_aitod.py'

data_root = 'data/scenes/'
max_epochs = 25
# Crops at the scenes' own resolution train 2.8 times as fast as whole scenes.
crop_size = (192, 192)  # width, height

model = dict(
    bbox_head=dict(
        loss_obj=dict(loss_weight=_base_.loss_obj_weight * (crop_size[0] / 640) ** 2)
    )
)

train_pipeline = [
    *_base_.pre_transform,
    dict(type='mmdet.RandomCrop', crop_size=crop_size, allow_negative_crop=True),
    dict(type='mmdet.Pad', size=crop_size, pad_val=dict(img=(114, 114, 114))),
    dict(type='YOLOv5HSVRandomAug'),
    dict(
        type='mmdet.RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape')),
]

train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/'),
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    # In so short a schedule it gets further than SGD, which the other configs keep.
    optimizer=dict(
        _delete_=True,
        type='AdamW',
        lr=0.002,
        weight_decay=0.05,
        batch_size_per_gpu=_base_.train_batch_size_per_gpu,
    ),
)
default_hooks = dict(
    param_scheduler=dict(
        scheduler_type='cosine',
        max_epochs=max_epochs,
        warmup_epochs=1,
        warmup_mim_iter=100,
    ),
    # The last checkpoint is what is reported: no test set picks an epoch. Two are
    # kept, since MMEngine deletes the old one before the new one is written.
    checkpoint=dict(interval=1, save_best=None, max_keep_ckpts=2),
    logger=dict(interval=10),
)
custom_hooks = [*_base_.custom_hooks, dict(type='ChannelsLastHook')]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
auto_scale_lr = dict(base_batch_size=_base_.train_batch_size_per_gpu)
randomness = dict(seed=0)
