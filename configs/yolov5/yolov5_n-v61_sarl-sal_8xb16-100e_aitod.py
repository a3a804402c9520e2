_base_ = './yolov5_s-v61_sarl-sal_8xb16-100e_aitod.py'

widen_factor = 0.25

model = dict(
    backbone=dict(widen_factor=widen_factor),
    neck=dict(widen_factor=widen_factor, neck=dict(widen_factor=widen_factor)),
    bbox_head=dict(head_module=dict(widen_factor=widen_factor)),
)
