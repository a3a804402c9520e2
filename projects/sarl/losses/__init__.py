from .sal import SAL

__all__ = ['SAL']
