_base_ = './yolov5_s-v61_8xb16-100e_visdrone.py'

model = _base_.settings.m.model
train_dataloader = _base_.settings.m.train_dataloader
default_hooks = _base_.settings.m.default_hooks
