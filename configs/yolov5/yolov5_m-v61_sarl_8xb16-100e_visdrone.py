_base_ = './yolov5_m-v61_8xb16-100e_visdrone.py'

model = dict(
    backbone=_base_.sarl.backbone,
    neck=dict(
        **_base_.sarl.neck,
        widen_factor=_base_.model.neck.widen_factor,
        neck=_base_.model.neck,
    ),
)
