"""Services elsewhere: joining, the control channel out, and a connection back for each session.

A database service dials out only. It keeps a WebSocket open to every proxy; for a session the proxy asks over
it, and the service dials a new connection that opens with a one-time number. On that connection the *proxy*
is the TLS client and shows a certificate for this one session, and the service is the server: one TLS
connection, with its own flow control, that each end has verified.
"""
