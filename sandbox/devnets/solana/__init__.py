"""An embedded Solana devnet: LiteSVM behind the JSON-RPC and WebSocket interface of a validator.

One process, one event loop, one machine. It knows nothing of the sandbox's token or database.
"""
