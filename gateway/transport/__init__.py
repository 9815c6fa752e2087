"""Connections: bytes, TLS, one port for many protocols; nothing of who somebody is or what they may do."""
