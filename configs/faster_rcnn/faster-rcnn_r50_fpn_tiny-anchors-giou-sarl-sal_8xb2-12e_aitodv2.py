_base_ = './faster-rcnn_r50_fpn_tiny-anchors-giou-sal_8xb2-12e_aitodv2.py'

model = dict(neck=dict(**_base_.sarl, neck=_base_.model.neck))
