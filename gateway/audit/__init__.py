"""The tamper-evident log: what happened, written down before it may happen.

Pure: ``encode``, ``tree``, ``note``, ``checkpoint``, ``intents``. ``log`` is the face that the event loop
sees; ``writer`` is the one thread that touches the disk, by way of ``ledger`` and ``files``. ``recover``
takes up what an earlier process left; ``read`` and ``verify`` serve auditors.
"""
