"""ISO 20022: pacs.008, pacs.002, pacs.004, camt.053 and camt.054 as XML, by a profile of our own.

`messages` builds and parses, `schema` reads XML safely, `rules` holds what statements must obey.
"""
