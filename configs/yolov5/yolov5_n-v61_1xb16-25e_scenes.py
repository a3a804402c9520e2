_base_ = ['./yolov5_n-v61_8xb16-100e_aitod.py', '../_base_/scenes.py']

crop_size = _base_.scenes.crop_size  # width, height
max_epochs = _base_.scenes.max_epochs

model = dict(
    bbox_head=dict(
        loss_obj=dict(loss_weight=_base_.loss_obj_weight * (crop_size[0] / 640) ** 2)
    )
)

train_dataloader = _base_.scenes.train_dataloader
val_dataloader = test_dataloader = _base_.scenes.val_dataloader
val_evaluator = test_evaluator = _base_.scenes.evaluator

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    optimizer=dict(
        **_base_.scenes.optimizer, batch_size_per_gpu=_base_.train_batch_size_per_gpu
    ),
)
default_hooks = dict(
    param_scheduler=dict(
        scheduler_type='cosine',
        max_epochs=max_epochs,
        warmup_epochs=1,
        warmup_mim_iter=100,
        # YOLOv5's 0.1 is for SGD: AdamW would take steps of that size.
        warmup_bias_lr=0.0,
    ),
    **_base_.scenes.default_hooks,
)
custom_hooks = [*_base_.custom_hooks, dict(type='ChannelsLastHook')]
train_cfg = _base_.scenes.train_cfg
auto_scale_lr = dict(base_batch_size=_base_.train_batch_size_per_gpu)
randomness = dict(seed=0)
