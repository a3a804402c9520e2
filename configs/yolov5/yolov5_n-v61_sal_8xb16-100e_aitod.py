_base_ = './yolov5_n-v61_8xb16-100e_aitod.py'

model = _base_.sal
