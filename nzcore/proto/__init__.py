"""Floors 2 and 3: protocols as machines and values. Bytes and time go in; values, events and bytes come out."""
