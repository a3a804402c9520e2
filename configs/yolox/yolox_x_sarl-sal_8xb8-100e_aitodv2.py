_base_ = './yolox_x_sarl_8xb8-100e_aitodv2.py'

model = _base_.sal
