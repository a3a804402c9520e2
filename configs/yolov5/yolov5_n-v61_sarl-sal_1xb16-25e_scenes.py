_base_ = './yolov5_n-v61_1xb16-25e_scenes.py'

model = dict(
    backbone=_base_.sarl.backbone,
    neck=dict(
        **_base_.sarl.neck,
        widen_factor=_base_.model.neck.widen_factor,
        neck=_base_.model.neck,
    ),
    **_base_.sal,
)
