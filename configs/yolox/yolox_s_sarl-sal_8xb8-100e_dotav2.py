_base_ = './yolox_s_sarl_8xb8-100e_dotav2.py'

model = _base_.sal
