_base_ = './fcos_r50_fpn_gn-head_8xb2-12e_aitod.py'

model = _base_.sal
