_base_ = './yolov5_x-v61_8xb16-100e_visdrone.py'

model = _base_.sal
