"""The errors that a user can cause and mend.

The command line turns each of them into one line on stderr, ``error: …``, and exit code 2. Every message says where, what was found, what was
needed and what to do. Anything else that is raised is a defect of the program and keeps its traceback.
"""


class DeepstrucError(Exception):
    """Base of every error that the user can mend; its text is shown as it is."""


class ConfigError(DeepstrucError):
    """A settings file, a ``--set`` or an option holds something that the command cannot use."""


class RecipeError(ConfigError):
    """A catalog recipe is wrong: unknown key, unknown element, no structures."""


class StructureError(DeepstrucError):
    """A structure cannot be made or read: impossible parameters, atoms on top of each other, a broken CIF."""


class CompositionError(ConfigError):
    """A chemical formula cannot be read, or names what is no element."""


class PdfFileError(DeepstrucError):
    """A file is not a usable pair distribution function."""


class NoCurveError(PdfFileError):
    """A file that can be read and holds something else than a pair distribution function: images, intensities, a log."""


class NotApplicableError(DeepstrucError):
    """A curve that is read well and belongs to no candidate: an answer would be made up."""


class StoreError(DeepstrucError):
    """A catalog store is missing, damaged, or belongs to another recipe."""


class CheckpointError(DeepstrucError):
    """A checkpoint is missing, damaged, or of another schema or catalog."""


class OutputError(DeepstrucError):
    """Results cannot be written: the directory is read-only or the disk is full."""


class EngineError(DeepstrucError):
    """An optional engine (diffpy.srreal, a GPU) was asked for and is not there."""


class TimeLimitError(Exception):
    """An item took longer than it may. No :class:`DeepstrucError`: who goes on without a part that failed must not go on after this one."""


class RenamedKeyWarning(FutureWarning):
    """A setting was given under the name that it had in the release before this one."""
