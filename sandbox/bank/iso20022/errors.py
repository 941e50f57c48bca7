"""Why a message is refused; `tag` is the place in it."""

from sandbox.core.errors import SandboxError


class MessageRefused(SandboxError):
    """Any message that is not taken."""

    status, code = 422, "message_refused"


class MessageTooLarge(MessageRefused):
    """More bytes than a message of ours may have."""

    status, code = 413, "message_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes, at most {limit}", size=size, limit=limit)


class MessageNotXml(MessageRefused):
    """Not well-formed XML."""

    code = "message_not_xml"

    def __init__(self, why: str) -> None:
        super().__init__(f"not well-formed: {why}")


class MessageUnsafe(MessageRefused):
    """A document type: entities and external files have no business in a message."""

    code = "message_unsafe"

    def __init__(self) -> None:
        super().__init__("a message must not declare a document type or entities")


class MessageUnknown(MessageRefused):
    """Another kind or version than those taken here."""

    code = "message_unknown"

    def __init__(self, root: str) -> None:
        super().__init__(f"{root} is none of the messages taken here", root=root)


class TagUnknown(MessageRefused):
    """A tag that the message does not have there."""

    code = "tag_unknown"

    def __init__(self, tag: str) -> None:
        super().__init__(f"{tag} does not belong there", tag=tag)


class TagMissing(MessageRefused):
    """A tag that the message, or our profile of it, requires."""

    code = "tag_missing"

    def __init__(self, tag: str) -> None:
        super().__init__(f"{tag} is missing", tag=tag)


class TagOrder(MessageRefused):
    """A tag behind one that must follow it, or twice where one is allowed."""

    code = "tag_order"

    def __init__(self, tag: str) -> None:
        super().__init__(f"{tag} stands in the wrong place, or more often than allowed", tag=tag)


class TagInvalid(MessageRefused):
    """A value that the tag cannot have."""

    code = "tag_invalid"

    def __init__(self, tag: str, why: str) -> None:
        super().__init__(f"{tag}: {why}", tag=tag)


class CurrencyNotTenge(MessageRefused):
    """An amount in another currency than tenge."""

    code = "currency_not_tenge"

    def __init__(self, tag: str, currency: str) -> None:
        super().__init__(f"{tag} is in {currency}, only KZT is taken", tag=tag, currency=currency)


class AmountNotTiyn(MessageRefused):
    """An amount that is not a positive number of whole tiyn."""

    code = "amount_not_tiyn"

    def __init__(self, tag: str, amount: str) -> None:
        super().__init__(f"{tag} {amount} is no positive number of whole tiyn", tag=tag)


class StatementSumWrong(MessageRefused):
    """Opening + credits - debits is not the closing balance."""

    code = "statement_sum_wrong"

    def __init__(self, expected_tiyn: int, closing_tiyn: int) -> None:
        super().__init__(
            f"opening and entries come to {expected_tiyn} tiyn, closing says {closing_tiyn}",
            expected_tiyn=expected_tiyn,
            closing_tiyn=closing_tiyn,
        )


class StatementOtherAccount(MessageRefused):
    """A statement of an account that is not the one asked for, or not ours."""

    code = "statement_other_account"

    def __init__(self, iban: str) -> None:
        super().__init__(f"the statement is of {iban}", iban=iban)


class StatementTwice(MessageRefused):
    """The day's statement was taken before, with other contents."""

    status, code = 409, "statement_twice"

    def __init__(self, day: str) -> None:
        super().__init__(f"another statement of {day} was taken before", day=day)


class StatementLineTwice(MessageRefused):
    """A line that an earlier statement of the account has."""

    status, code = 409, "statement_line_twice"

    def __init__(self, reference: str, day: str) -> None:
        super().__init__(f"{reference} stands on the statement of {day}", day=day)


class StatementOutOfOrder(MessageRefused):
    """A statement older than the newest one taken."""

    status, code = 409, "statement_out_of_order"

    def __init__(self, day: str, newest: str) -> None:
        super().__init__(f"the statement of {day} comes after that of {newest}", day=day)


class StatementGap(MessageRefused):
    """It does not open with what the statement before closed with."""

    status, code = 409, "statement_gap"

    def __init__(self, opening_tiyn: int, closed_tiyn: int) -> None:
        super().__init__(
            f"opens with {opening_tiyn} tiyn, the one before closed with {closed_tiyn}",
            opening_tiyn=opening_tiyn,
            closed_tiyn=closed_tiyn,
        )
