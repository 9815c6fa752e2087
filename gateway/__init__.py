"""Regate: a database access gateway whose every yes and no is written in Rego.

A client connects with a certificate that expires within hours. For each connect and each query the
gateway builds a question (``policy.document``), asks Open Policy Agent (``policy.client``), parses the
answer strictly (``policy.answer``), writes a tamper-evident record (``audit.log``) and only then moves a
byte towards the database. Four sentences carry the design:

1. Python carries the question to the policy and obeys the answer; it never matches a role or a label.
2. Code that knows a wire format does no I/O; code that does I/O knows no wire format.
3. Decide, record, forward: in that order, every time.
4. What was not fully understood is ``unknown``, and ``unknown`` is refused wherever anything is restricted.

Folders, in the direction imports may point (``docs/architecture.md`` has the picture)::

    model                      frozen values; imports nothing from here
    sansio                     the kit for codecs: flows, readers, walkers, the Protocol record
    protocols                  one folder per database protocol, pure
    classify, policy, audit, ca  what a statement does; the question; the record; the certificates
    session, auth              the engine that moves bytes; the store and the logins
    api, cli                   the outside
"""
