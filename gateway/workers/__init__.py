"""Several processes behind one port: what passes between them.

The main process accepts, keeps the keys, the log and the registry, and hands sockets on. A worker serves
sessions: it reads what a client sends, asks the policy by itself, and asks the main process for the rest over
a channel (``channel``): records (``record``), counts, certificates and cancels (``registry``, ``desk``).
"""
