_base_ = './yolov5_l-v61_sarl_8xb16-100e_visdrone.py'

model = _base_.sal
