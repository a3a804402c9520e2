_base_ = './fcos_r50_fpn_gn-head_sarl_8xb2-12e_aitodv2.py'

model = _base_.sal
