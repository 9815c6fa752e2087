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

    model                          frozen values; imports nothing from here
    sansio                         the kit for codecs: flows, readers, the contract of protocols
    classify                       what a statement does, to what
    protocols                      one folder per database protocol, pure
    policy, audit, ca, observe     the question; the record; the certificates; metrics and logs
    session, workers, tunnel       the engine that moves bytes; its processes; services elsewhere
    auth                           the store and the logins
    analysis                       what policies and statements mean, without a session
    api, services, cli             the outside
"""
