"""What LLM protocols look like on the wire: framing, splicing, and one folder per dialect.

Pure by contract: bytes in, values out. No I/O, no clock, no logging, no knowledge of the services;
every parser here is incremental or total, so it can be tested by feeding it bytes.
"""
