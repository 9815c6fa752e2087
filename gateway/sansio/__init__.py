"""The kit for codecs: flows, a bounded reader, and the record that a protocol is. No I/O here."""
