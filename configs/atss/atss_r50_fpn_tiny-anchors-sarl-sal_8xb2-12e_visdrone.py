_base_ = './atss_r50_fpn_tiny-anchors-sarl_8xb2-12e_visdrone.py'

model = _base_.sal
