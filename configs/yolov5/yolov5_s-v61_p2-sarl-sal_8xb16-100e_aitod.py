_base_ = './yolov5_s-v61_p2_8xb16-100e_aitod.py'

model = dict(
    neck=dict(
        **_base_.sarl.neck,
        widen_factor=_base_.model.neck.widen_factor,
        neck=_base_.model.neck,
    ),
    **_base_.sal,
)
