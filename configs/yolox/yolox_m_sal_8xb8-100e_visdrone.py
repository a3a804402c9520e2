_base_ = './yolox_m_8xb8-100e_visdrone.py'

model = _base_.sal
