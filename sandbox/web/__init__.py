"""Pages for people: the payment page of a session."""
