_base_ = './yolox_x_sarl_8xb8-100e_visdrone.py'

model = _base_.sal
