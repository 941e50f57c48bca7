"""Whose units may be seized, and where they may go, on any chain."""

from sandbox.chains.errors import NotSeizable
from sandbox.chains.port import Chain, Command


def seizure(chain: Chain, command: Command) -> tuple[str, str]:
    """(holder, recipient) as transfers of the chain show them. No network.

    Raises `UnknownRecipient`, and `NotSeizable` where one of them is the sandbox's own.
    """
    holder = chain.check_recipient(command.holder)
    recipient = chain.check_recipient(command.recipient)
    own = chain.own_addresses()
    if holder == recipient:
        raise NotSeizable(chain.name, holder, recipient, "they are the same")
    for address in (holder, recipient):
        if address in own:
            raise NotSeizable(chain.name, holder, recipient, f"{address} is our {own[address]}")
    return holder, recipient
