_base_ = './yolov5_s-v61_sarl_8xb16-100e_dotav2.py'

model = _base_.sal
