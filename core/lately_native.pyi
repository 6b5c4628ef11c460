"""What Python sees of the native core; src/python.rs has the other half."""

__version__: str
