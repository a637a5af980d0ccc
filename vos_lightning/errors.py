"""What a user can mend: the command line prints these as one line and exits with code 2."""

import errno


class VOSError(ValueError):
    """Bad input. The message names the file, sequence or option, and says what to do next."""


class DatasetNotFoundError(VOSError):
    """A dataset folder does not have the expected layout."""


class CorruptFileError(VOSError):
    """A file is there and cannot be decoded."""


class ExhaustedError(VOSError):
    """The machine is short of something, such as open files: no input is to blame, so none is to be left out."""


class MaskError(VOSError):
    """A mask that can't be used: RGB, another size than its frame, no object in it."""


def read_error(path: object, error: BaseException, otherwise: VOSError) -> VOSError:
    """What to raise where a file can't be read.

    Args:
        path: the file or folder.
        error: what reading it ended with.
        otherwise: what to raise if the file itself is to blame.
    """
    number = getattr(error, "errno", None)
    if number in (errno.EMFILE, errno.ENFILE):
        return ExhaustedError(
            f"{path}: too many files are open to read this one; raise the limit, as by `ulimit -n 4096`, or work on "
            "fewer at a time"
        )
    if number == errno.EACCES:
        return VOSError(f"{path}: may not be read (permission denied); change its permissions")
    return otherwise
