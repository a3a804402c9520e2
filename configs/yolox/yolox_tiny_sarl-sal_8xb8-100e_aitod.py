_base_ = './yolox_tiny_sarl_8xb8-100e_aitod.py'

model = _base_.sal
