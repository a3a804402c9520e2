_base_ = './yolox_s_8xb8-100e_aitodv2.py'

model = _base_.settings.tiny.model
train_dataloader = _base_.settings.tiny.train_dataloader
