"""What can go wrong on the model's side, and who has to act.

ModelError
├── DataError        whoever gave the event log: columns, times or rows that cannot be read
├── ArtifactError    the operator: an artifact that must not be loaded
├── OptionsError     the operator: an option at scoring time that cannot be kept; exit code 2
└── ScorerError      the model's owner: an engine that is not there, or an answer that is none
"""


class ModelError(Exception):
    """One line for a person: what was found, what was expected, what to do next."""


class DataError(ModelError):
    """An event log or item file that cannot be used."""


class ArtifactError(ModelError):
    """An artifact that is damaged, incomplete, or does not fit together."""


class OptionsError(ModelError):
    """An option at scoring time that makes no sense, or a list of items that cannot be used."""


class ScorerError(ModelError):
    """A scorer that cannot start, or gave an answer that is none."""
