_base_ = './yolox_m_8xb8-100e_dotav2.py'

model = _base_.sal
