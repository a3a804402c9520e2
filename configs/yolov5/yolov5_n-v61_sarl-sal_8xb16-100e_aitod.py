_base_ = './yolov5_n-v61_8xb16-100e_aitod.py'

model = dict(
    backbone=dict(out_indices=(1, 2, 3, 4)),  # strides 4, 8, 16, 32
    neck=dict(
        _delete_=True,
        type='SARL',
        in_channels=[128, 256, 512, 1024],
        widen_factor=_base_.widen_factor,
        neck=_base_.model.neck,
    ),
    bbox_head=dict(
        type='SALYOLOv5Head',
        loss_bbox=dict(
            _delete_=True, type='SAL', loss=_base_.model.bbox_head.loss_bbox
        ),
    ),
)
