"""Pages for people: the payment page of a session, the API reference."""
