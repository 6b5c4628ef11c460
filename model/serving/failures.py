"""The failures of an engine: whether a sequence is to blame, or the machine that ran out."""

from model.errors import OutOfResourcesError, ScorerError

# Neither engine has a type for all of these; the texts are those of ONNX Runtime's allocators, of
# torch's on CPU and GPU, of the C++ library and of the operating system.
_RESOURCES = (
    "failed to allocate memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "bad allocation",
    "unable to allocate",
    "allocation failed",
    "out of memory",
    "not enough memory",
    "is smaller than requested bytes",  # an arena with a limit, as on a GPU
    "free memory block",
    # cuBLAS and cuDNN, also when it is memory or the device that they lack to begin with.
    "_alloc_failed",
    "_status_not_initialized",
    "_status_internal_error",
    "_status_execution_failed",
    # After one of these the device answers nobody, whatever the sequence.
    "cuda error",
    "cuda failure",
    "hip error",
    "can't start new thread",
    "resource temporarily unavailable",
    "too many open files",
)


def failure(engine: str, error: Exception, sequences: int, advice: str) -> ScorerError:
    """The error to raise for one of an engine's; OutOfResourcesError if no sequence is to blame."""
    text = f"{engine} failed on {sequences} sequences ({error})"
    if is_resource(error):
        return OutOfResourcesError(f"{text}; give it more memory, or smaller batches")
    return ScorerError(f"{text}; {advice}")


def is_resource(error: Exception) -> bool:
    """Whether the machine or its device lacks something, rather than a sequence being bad."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _RESOURCES)
