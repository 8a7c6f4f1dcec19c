"""nzcore: a node kernel. Application code imports `nzcore.module` or `nzcore.kernel`; nothing is imported here."""

__version__ = "0.1.0"
