_base_ = './yolox_s_8xb8-100e_visdrone.py'

model = _base_.x
