"""The text-router: relays text requests to vendors and tells the ledger, once, how each one ended.

It believes the edge about who is calling and what was held; it decides where a request goes, what
may be tried again, and which row of the success table its end is. It must never look into prompts
or completions further than pricing and routing need, nor let a byte of them leave by any other way
than the answer.
"""
