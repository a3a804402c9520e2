"""The error that a user can mend."""


class InputError(ValueError):
    """Bad input: its text names the file, the item and the mend.

    The command-line tools print it as one line, without a traceback.
    """
