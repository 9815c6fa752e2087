"""As much of a client of each protocol as a corpus needs to be sent through a session of one's own.

The protocols' own codecs write and read the messages; the drivers that people use are for development only,
and some hide what a closed connection said.
"""
