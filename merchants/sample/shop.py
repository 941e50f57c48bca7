"""A shop that sells by KZTE: it asks for payments, and hands goods over when a webhook says so."""

from collections.abc import Mapping

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from merchants.client import MerchantClient

PRICES_TIYN = {"plov": 250_000, "samsa": 60_000}


class Shop:
    """Orders by number; `state` of each is `open`, `paid`, `expired` or `refunded`."""

    def __init__(self, api: MerchantClient, webhook_secret: str) -> None:
        self._api, self._webhook = api, Webhook(webhook_secret)
        self._seen: set[str] = set()
        self.state: dict[str, str] = {}
        self.handed_over: list[str] = []
        self.sessions: dict[str, str] = {}
        self._payments: dict[str, str] = {}

    def order(self, number: str, dish: str) -> str:
        """A checkout session for the dish; gives the URL of its payment page."""
        session = self._api.create_session(
            PRICES_TIYN[dish], client_reference_id=number, key=f"order-{number}"
        )
        self.state[number], self.sessions[number] = "open", session["id"]
        return str(session["url"])

    def refund(self, number: str) -> None:
        """Give everything back."""
        session = self._api.session(self.sessions[number])
        self._api.refund(self._payments[number], session["amount_tiyn"], reason="cold plov")

    def webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        """What the shop's web server does with a POST to its webhook URL; gives the status."""
        try:
            event = self._webhook.verify(body, dict(headers))
        except WebhookVerificationError:
            return 400
        if headers["webhook-id"] in self._seen:  # at least once means that repeats come
            return 204
        self._seen.add(headers["webhook-id"])
        data = event["data"]
        number = next((n for n, id_ in self.sessions.items() if id_ == data.get("id")), None)
        if event["type"] == "checkout.session.completed" and number is not None:
            self.state[number] = "paid"
            self.handed_over.append(number)
        elif event["type"] == "checkout.session.expired" and number is not None:
            self.state[number] = "expired"
        elif event["type"] == "payment.captured":
            self._captured(data)
        elif event["type"] == "refund.completed":
            self._refunded(data)
        return 204

    def _captured(self, payment: Mapping[str, str]) -> None:
        for number, session in self.sessions.items():
            if session == payment["session"]:
                self._payments[number] = payment["id"]

    def _refunded(self, refund: Mapping[str, str]) -> None:
        for number, payment in self._payments.items():
            if payment == refund["payment"]:
                self.state[number] = "refunded"
