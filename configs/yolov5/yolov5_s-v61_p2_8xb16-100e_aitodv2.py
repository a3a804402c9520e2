_base_ = './yolov5_s-v61_8xb16-100e_aitodv2.py'

model = _base_.settings.p2
