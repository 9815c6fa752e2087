"""The engine that moves bytes: decide, record, forward."""
