_base_ = './rtmdet_s_8xb32-100e_aitodv2.py'

model = dict(
    backbone=dict(out_indices=(1, 2, 3, 4)),
    neck=dict(**_base_.sarl, neck=_base_.model.neck),
)
