_base_ = './yolox_l_8xb8-100e_visdrone.py'

model = _base_.sal
