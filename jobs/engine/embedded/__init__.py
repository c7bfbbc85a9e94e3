"""
The embedded profile: the whole product in one process, on SQLite and queues in memory.

Its threads share nothing but the database and the queues, so they are the same web, relay,
worker and scheduler as in the services profile. What a crash drops from memory, the next start
brings back from the ledger.
"""
