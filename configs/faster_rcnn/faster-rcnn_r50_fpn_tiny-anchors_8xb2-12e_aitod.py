_base_ = './faster-rcnn_r50_fpn_8xb2-12e_aitod.py'

model = _base_.tiny_anchors
