_base_ = './yolox_s_8xb8-100e_aitodv2.py'

model = _base_.sal
