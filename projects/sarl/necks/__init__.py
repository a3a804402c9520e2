from .sarl import SARL

__all__ = ['SARL']
