"""What a user can mend: the command line prints these as one line and exits with code 2."""


class VOSError(ValueError):
    """Bad input. The message names the file, sequence or option, and says what to do next."""


class DatasetNotFoundError(VOSError):
    """A dataset folder does not have the expected layout."""


class CorruptFileError(VOSError):
    """A file is there and cannot be decoded."""


class MaskError(VOSError):
    """A mask that can't be used: RGB, another size than its frame, no object in it."""
