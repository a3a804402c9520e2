_base_ = './atss_r50_fpn_8xb2-12e_dotav2.py'

model = _base_.tiny_anchors
