# The same arms on HIT-UAV at half size (thermal images from a drone, CC BY 4.0; how it
# is split: docs/experiments.md):
# python tools/ablate.py configs/ablation/yolov5_n_hituav.py --out docs/ablation/hituav
_base_ = './yolov5_n_scenes.py'

data_root = 'data/hituav_half/'
classes = ('Person', 'Car', 'Bicycle', 'OtherVehicle')
max_epochs = 40

data = dict(type='TinyCocoDataset', data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

model = dict(
    bbox_head=dict(
        head_module=dict(num_classes=len(classes)),
        loss_cls=dict(loss_weight=_base_.loss_cls_weight * len(classes) / 80),
    )
)
default_hooks = dict(param_scheduler=dict(max_epochs=max_epochs))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

grid = dict(held_out=dict(_delete_=True, scene=['courts']))
