"""Where tasks are kept: one module per broker, all behind the protocols of ``_broker``."""
